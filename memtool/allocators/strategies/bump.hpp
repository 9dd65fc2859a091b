// The upper bound on speed: one addition for an allocation, nothing for a free.
#pragma once

#include "allocators/concept/strategy.hpp"
#include "allocators/support/arena_bytes.hpp"

namespace memtool {

class Bump {
 public:
  static constexpr StrategyInfo info{
      .name = "bump",
      .family = "arena",
      .summary = "Moves a pointer and never reuses memory: the upper bound on the speed of allocation.",
      .source = "Hanson, \"Fast allocation and deallocation of memory based on object lifetimes\", SPE 20(1), 1990",
      .complexity = "allocate O(1), deallocate nothing",
      .when = "short runs that end before memory is exhausted; a bound for comparisons",
      .free_order = FreeOrder::reset,
  };

  Bump(Region& region, const Parameters&) noexcept : region_(region) {}
  static Limits limits(const Parameters&) { return {.least_alignment = 1}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(region_.base() + region_.used()) & (alignment - 1);
    const std::size_t bytes = arena_bytes(size, alignment);
    if (bytes < size || bytes + padding < bytes) return nullptr;
    auto* first = static_cast<std::byte*>(region_.grow(padding + bytes));
    return first == nullptr ? nullptr : first + padding;
  }
  void deallocate(void*, std::size_t, std::size_t) noexcept {}

  std::size_t usable_size(const void*, std::size_t size) const noexcept { return size + (size == 0); }
  // The number of live bytes is unknown: a free leaves no trace, and counting frees would cost more than allocating.
  HeapStats stats() const noexcept { return {.free_bytes = 0, .free_blocks = 0, .metadata_bytes = 0}; }
  void walk(const BlockVisitor& visit) const {
    if (region_.used() > 0) visit(region_.base(), region_.used(), BlockState::used);
  }
  void check() const { require(region_.used() <= region_.capacity(), "more is used than there is"); }

 private:
  Region& region_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Bump);
