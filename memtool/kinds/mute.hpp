// A heap without figures, which takes the place of an allocator where there is none.
#pragma once

#include <cstddef>

#include "allocators/concept/any_heap.hpp"

namespace memtool {

class Mute : public AnyHeap {
 public:
  void* allocate_zeroed(std::size_t, std::size_t) override { return nullptr; }
  void* reallocate(void*, std::size_t, std::size_t, std::size_t) override { return nullptr; }
  bool mark() override { return false; }
  bool release() override { return false; }
  [[nodiscard]] bool scoped() const override { return false; }
  [[nodiscard]] bool uses_region() const override { return false; }
  [[nodiscard]] std::size_t usable_size(const void*, std::size_t size) const override { return size; }
  [[nodiscard]] HeapStats stats() const override { return {}; }
  void walk(const BlockVisitor&) const override {}
  void check() const override {}
};

}  // namespace memtool
