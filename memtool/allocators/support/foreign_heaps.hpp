// What a strategy says of itself whose blocks lie in a heap that memtool does not see: a malloc's, or the kernel's.
#pragma once

#include <malloc.h>

#include "allocators/concept/strategy.hpp"

namespace memtool {

struct ForeignHeap {
  HeapStats stats() const noexcept { return {}; }
  void walk(const BlockVisitor&) const {}
  void check() const {}
};

struct MallocBlocks : ForeignHeap {
  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    return malloc_usable_size(const_cast<void*>(block));
  }
};

}  // namespace memtool
