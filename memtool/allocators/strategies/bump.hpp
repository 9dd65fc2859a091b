// The speed limit: one addition an allocation, nothing on a free.
#pragma once

#include "allocators/support/bits.hpp"
#include "engine/registry.hpp"

namespace memtool {

class Bump {
 public:
  static constexpr StrategyInfo info{
      .name = "bump",
      .family = "arena",
      .summary = "Moves a pointer; never takes anything back. The speed limit of allocation.",
      .source = "Hanson, \"Fast allocation and deallocation of memory based on object lifetimes\", SPE 20(1), 1990",
      .complexity = "allocate O(1), deallocate nothing",
      .when = "short runs that end before memory does; as the limit to compare with",
      .free_order = FreeOrder::reset,
  };

  Bump(Region& region, const Parameters&) noexcept : region_(region) {}
  static Limits limits(const Parameters&) { return {}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(region_.base() + region_.used()) & (alignment - 1);
    const std::size_t bytes = bits::round_up(size + (size == 0), kDefaultAlignment);
    if (bytes < size || bytes + padding < bytes) return nullptr;
    auto* first = static_cast<std::byte*>(region_.grow(padding + bytes));
    if (first == nullptr) return nullptr;
    granted_ += bytes;
    ++blocks_;
    return first + padding;
  }
  void deallocate(void*, std::size_t size, std::size_t) noexcept {
    granted_ -= usable_size(nullptr, size);
    --blocks_;
  }
  std::size_t usable_size(const void*, std::size_t size) const noexcept {
    return bits::round_up(size + (size == 0), kDefaultAlignment);
  }
  // What was freed is neither granted nor free: nothing will ever use it again.
  HeapStats stats() const noexcept {
    return {.granted = granted_, .free_bytes = 0, .free_blocks = 0, .used_blocks = blocks_, .metadata_bytes = 0};
  }
  void walk(const BlockVisitor& visit) const {
    if (region_.used() > 0) visit(region_.base(), region_.used(), BlockState::used);
  }
  void check() const { require(granted_ <= region_.used(), "more is granted than was taken from the region"); }

 private:
  Region& region_;
  std::size_t granted_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Bump);
