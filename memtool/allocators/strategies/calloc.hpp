// calloc for every request. It shows what zeroing costs a program, whether the program needs zeroes never or always.
#pragma once

#include <cstdlib>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/foreign_heaps.hpp"

namespace memtool {

class Calloc : public MallocBlocks {
 public:
  static constexpr StrategyInfo info{
      .name = "calloc",
      .family = "standard",
      .summary = "calloc for every request, from any malloc (malloc=NAME).",
      .source = "ISO C 2018, 7.22.3.2",
      .complexity = "as malloc, and O(size) to write zeroes, unless the memory is fresh from the kernel",
      .when = "measuring what zeroing every block costs, and what fresh pages save because they are zero",
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::linker,
      .sized_free = false,
  };

  Calloc(Region&, const Parameters&) noexcept {}
  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= kDefaultAlignment) [[likely]]
      return std::calloc(1, size);
    void* block = std::aligned_alloc(alignment, bits::round_up(size, alignment));
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept { return allocate(size, alignment); }
  void deallocate(void* block, std::size_t, std::size_t) noexcept { std::free(block); }
  void deallocate(void* block) noexcept { std::free(block); }
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Calloc);
