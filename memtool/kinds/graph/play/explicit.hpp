// A graph program over an explicit allocator: objects come from a heap and are freed where the program says. Compiled
// into each strategy, and once for all heaps that are reached through indirect calls.
#pragma once

#include <cstdint>

#include "allocators/concept/any_heap.hpp"
#include "kinds/graph/play/play.hpp"

namespace memtool::graph {

inline constexpr std::size_t kAlignment = 8;  // of references and words

// The roots of the loop, and the addresses to be freed by number.
struct Tables {
  Object** roots;
  Object** slots;
};

template <class H>
class Explicit : public PlainRoots<Explicit<H>> {
 public:
  static constexpr bool kIsExplicit = true;

  Explicit(H& heap, const Tables& tables) noexcept
      : PlainRoots<Explicit>(tables.roots), heap_(heap), slots_(tables.slots) {}

  Object* allocate(std::uint32_t body, std::uint32_t, std::uint32_t slot) {
    auto* object = static_cast<Object*>(heap_.allocate(body, kAlignment));
    slots_[slot] = object;
    return object;
  }
  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }
  void free(std::uint32_t slot, std::uint32_t body) { heap_.deallocate(slots_[slot], body, kAlignment); }
  void control(Control what) {
    if (what == Control::scope_begin) static_cast<void>(heap_.mark());
    if (what == Control::scope_end) static_cast<void>(heap_.release());
  }

 private:
  H& heap_;
  Object** slots_;
};

using PlayHeap = Outcome (*)(AnyHeap&, const Tables&, const Program&);

template <class H>
Outcome play_heap(AnyHeap& any, const Tables& tables, const Program& program) {
  Explicit<H> target(static_cast<H&>(any), tables);
  return play(target, program);
}

// The part compiled into each strategy (engine/registry/entry.hpp). Its address is a PlayHeap.
template <class H>
struct Playing {
  static constexpr PlayHeap kPlay = play_heap<H>;
};

}  // namespace memtool::graph
