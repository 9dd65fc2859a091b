// The malloc of this process: glibc's, or that of the library that the worker preloads. It is called through the
// dynamic linker, as in any program.
#pragma once

#include <cstdlib>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "allocators/concept/touch.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/foreign_heaps.hpp"
#include "allocators/support/malloc_calls.hpp"

namespace memtool {

class Malloc : public MallocBlocks {
 public:
  static constexpr StrategyInfo info{
      .name = "malloc",
      .family = "standard",
      .summary = "malloc and free of the library that serves the process.",
      .source = "ISO C 2018, 7.22.3",
      .complexity = "as in the library",
      .when = "most programs: it is the default that every other allocator has to beat",
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::linker,
      .sized_free = false,
  };

  Malloc(Region&, const Parameters&) noexcept {}
  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= kDefaultAlignment) [[likely]]
      return std::malloc(size);
    // ISO C requires a multiple of the alignment. glibc accepts other sizes, but other libraries may not.
    return std::aligned_alloc(alignment, bits::round_up(size, alignment));
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= kDefaultAlignment) return std::calloc(1, size);
    void* block = allocate(size, alignment);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept { std::free(block); }
  void deallocate(void* block) noexcept { std::free(block); }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    // In glibc realloc(p, 0) frees the block. Here it resizes to the smallest block.
    if (alignment <= kDefaultAlignment) return std::realloc(block, new_size + (new_size == 0));
    void* fresh = allocate(new_size, alignment);  // realloc would not keep the alignment
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, old_size < new_size ? old_size : new_size);
    if (new_size > rear_) touch_grown(touch_, fresh, old_size, new_size - rear_);
    std::free(block);
    return fresh;
  }
  // See AnyHeap. The program itself copies blocks with a larger alignment.
  void write_when_moved(Touch touch, std::size_t rear) noexcept {
    touch_ = touch;
    rear_ = rear;
  }

  // The calls that a program makes through pointers to the functions of a malloc.
  static constexpr MallocCalls kCalls{
      .allocate = std::malloc,
      .allocate_aligned =
          [](std::size_t alignment, std::size_t size) {
            return std::aligned_alloc(alignment, bits::round_up(size, alignment));
          },
      .allocate_zeroed = std::calloc,
      .reallocate = std::realloc,
      .deallocate = std::free,
  };

 private:
  Touch touch_ = Touch::none;
  std::size_t rear_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Malloc);
