// The control of a graph program over an explicit allocator: a pointer that moves upwards replaces the allocator and is
// compiled into the loop. It keeps no statistics, so the cost of the loop can be compared with a handwritten program.
#pragma once

#include <cstddef>
#include <cstdint>

#include "allocators/concept/region.hpp"
#include "kinds/graph/play/explicit.hpp"

namespace memtool::graph {

class MovingPointer : public PlainRoots<MovingPointer> {
 public:
  static constexpr bool kIsExplicit = true;

  MovingPointer(Region& region, const Tables& tables) noexcept
      : PlainRoots(tables.roots), next_(region.base()), end_(region.base() + region.capacity()), slots_(tables.slots) {}

  Object* allocate(std::uint32_t body, std::uint32_t, std::uint32_t slot) noexcept {
    const std::size_t bytes = (body + kAlignment - 1) & ~(kAlignment - 1);
    if (bytes > static_cast<std::size_t>(end_ - next_)) return nullptr;
    void* const first = next_;
    next_ += bytes;
    slots_[slot] = static_cast<Object*>(first);
    return slots_[slot];
  }
  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }
  void free(std::uint32_t, std::uint32_t) noexcept {}
  void control(Control) noexcept {}

 private:
  std::byte* next_;
  std::byte* end_;
  Object** slots_;
};

}  // namespace memtool::graph
