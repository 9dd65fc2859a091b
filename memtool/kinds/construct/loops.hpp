// Placement: an object constructed in memory from a heap. Compiled into each strategy for each type, and once for all
// heaps that are reached through indirect calls.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>

#include "allocators/concept/any_heap.hpp"
#include "kinds/construct/types.hpp"

namespace memtool::construct {

// A compiled-in type in the form that the ways need; type_table.hpp has the same form of any other.
template <class T>
struct Compiled {
  using Type = T;
  static constexpr bool kNothrow = std::is_nothrow_default_constructible_v<T>;
  static constexpr std::size_t size() noexcept { return sizeof(T); }
  static constexpr std::size_t alignment() noexcept { return std::max(alignof(T), kDefaultAlignment); }
  static void construct(void* at) noexcept(kNothrow) { ::new (at) T(); }
  static void destroy(void* at) noexcept { std::destroy_at(static_cast<T*>(at)); }
  static std::uint64_t use(void* at) noexcept { return static_cast<T*>(at)->use(); }
  static void reset(void* at) { static_cast<T*>(at)->reset(); }
};

// Returns a block with an object in it, or nullptr if memory is exhausted. If the constructor throws, the block is
// freed.
template <class M, class H>
void* make_one(H& heap) {
  void* block = heap.allocate(M::size(), M::alignment());
  if (block == nullptr) [[unlikely]]
    return nullptr;
  if constexpr (M::kNothrow) {
    M::construct(block);
  } else {
    try {
      M::construct(block);
    } catch (...) {
      heap.deallocate(block, M::size(), M::alignment());
      throw;
    }
  }
  return block;
}

// Makes all objects, and ends them in a given order.
struct Loops {
  std::size_t (*make)(AnyHeap&, void** slots, std::size_t count);  // returns how many there was memory for
  void (*end)(AnyHeap&, void* const* slots, const std::uint32_t* order, std::size_t count);
};

template <class M, class H>
std::size_t make_all(AnyHeap& any, void** slots, std::size_t count) {
  H& heap = static_cast<H&>(any);
  for (std::size_t i = 0; i < count; ++i) {
    slots[i] = make_one<M>(heap);
    if (slots[i] == nullptr) [[unlikely]]
      return i;
  }
  return count;
}

template <class M, class H>
void end_all(AnyHeap& any, void* const* slots, const std::uint32_t* order, std::size_t count) {
  H& heap = static_cast<H&>(any);
  for (std::size_t i = 0; i < count; ++i) {
    void* const block = slots[order[i]];
    M::destroy(block);
    heap.deallocate(block, M::size(), M::alignment());
  }
}

template <class M, class H>
inline constexpr Loops kLoops{make_all<M, H>, end_all<M, H>};

// The loops of all types, in their order.
template <class H>
struct LoopsOf {
  template <class T>
  struct Of {
    static constexpr Loops kMade = kLoops<Compiled<T>, H>;
  };
  static constexpr const auto& kAll = ForEachType<Of>::kAll;
};

}  // namespace memtool::construct
