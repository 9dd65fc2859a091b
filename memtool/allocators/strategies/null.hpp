// The control: returns the same touched block again and again, so a replay of it measures the harness alone.
#pragma once

#include "allocators/concept/strategy.hpp"
#include "allocators/support/foreign_heaps.hpp"
#include "allocators/support/lane_number.hpp"

namespace memtool {

class Null : public ForeignHeap {
 public:
  static constexpr StrategyInfo info{
      .name = "null",
      .family = "control",
      .summary = "Returns one fixed block that is already touched; measures the harness, not memory management.",
      .source = "the empty loop that every benchmark should publish",
      .complexity = "O(1), no memory access",
      .when = "measuring the overhead of the harness, which is subtracted to give net times",
      .is_control = true,
      .thread_safe = true,
  };

  Null(Region& region, const Parameters&) noexcept : block_(region.base()), capacity_(region.capacity()) {}
  void* allocate(std::size_t size, std::size_t) noexcept { return block(size); }
  void* allocate_zeroed(std::size_t size, std::size_t) noexcept { return block(size); }
  void deallocate(void*, std::size_t, std::size_t) noexcept {}
  void deallocate(void*) noexcept {}
  void* reallocate(void*, std::size_t, std::size_t size, std::size_t) noexcept { return block(size); }
  std::size_t usable_size(const void*, std::size_t size) const noexcept { return size; }

 private:
  // Each thread of a replay has its own block. One block for all would measure how its cache line moves between cores.
  [[gnu::always_inline]] void* block(std::size_t size) const noexcept {
    if (lane_number == 0) [[likely]]
      return block_;
    const std::size_t offset = lane_number % kBlocks * (capacity_ / (2 * kBlocks) & -std::size_t{4096});
    return size <= capacity_ / 2 ? block_ + offset : block_;
  }

  static constexpr std::size_t kBlocks = 64;
  std::byte* block_;
  std::size_t capacity_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Null);
