// Turns a strategy into a malloc replacement for any program. One file of a shared library contains
//   MEMTOOL_MALLOC(memtool::Powers, "smallest=5")
// which defines the functions for which the dynamic linker looks (docs/your-own-allocator.md). It is the interface that
// `memtool run` gives a program (interface.hpp), with the strategy compiled into it. The same BareHeap serves it as
// with
// `--as malloc`: it keeps a header if the strategy needs the size at the free, and locks a strategy that is not
// thread-safe.
//
// A strategy that itself takes memory from malloc or from new cannot be used, because it would call itself. (Memory for
// its own books is served separately.)
#pragma once

#include <concepts>
#include <cstddef>
#include <new>

#include "allocators/support/as_malloc.hpp"
#include "allocators/support/per_thread.hpp"
#include "preload/symbols.hpp"

namespace memtool {
namespace {

// Knows which threads have called it. unbind() makes it forget the calling thread until its next call.
template <class S>
concept BindsThreads = kOneHeap && HeldForForks<S> && requires(S s, const S c) {
  { c.is_bound() } noexcept -> std::same_as<bool>;
  { s.unbind() } noexcept;
};
// Such a heap looks up the state of a thread in any case. One load shows that the heap exists, that the thread is known
// to it, and where its state for the thread lies.
template <class S>
[[gnu::always_inline]] inline bool goes_straight_to(const BareHeap<S>& heap) noexcept {
  if constexpr (BindsThreads<S>) return heap.heap().is_bound();
  return HeldForForks<S> && passage == Passage::straight;
}
template <class S>
void goes_round_to(BareHeap<S>& heap) noexcept {
  if constexpr (BindsThreads<S>) heap.heap().unbind();
  passage = Passage::round;
}

}  // namespace
}  // namespace memtool

#define MEMTOOL_MALLOC(TYPE, PARAMETERS)                                                                  \
  static_assert(memtool::Strategy<TYPE>);                                                                 \
  namespace memtool {                                                                                     \
  namespace {                                                                                             \
  /* Its address is known at compile time. Never destroyed: programs free until the very end. */          \
  alignas(BareHeap<TYPE>) constinit std::byte heap_memory[sizeof(BareHeap<TYPE>)]{};                      \
  [[gnu::always_inline]] inline BareHeap<TYPE>& heap() noexcept {                                         \
    return *std::launder(reinterpret_cast<BareHeap<TYPE>*>(heap_memory));                                 \
  }                                                                                                       \
  }                                                                                                       \
  bool ProgramHeap::can_open() noexcept {                                                                 \
    return true;                                                                                          \
  }                                                                                                       \
  void ProgramHeap::open(Region& region) {                                                                \
    new (heap_memory) BareHeap<TYPE>(TYPE::info.thread_safe, region, Parameters(TYPE::info, PARAMETERS)); \
  }                                                                                                       \
  Passage ProgramHeap::passage() noexcept {                                                               \
    return heap().passage();                                                                              \
  }                                                                                                       \
  bool ProgramHeap::goes_straight() noexcept {                                                            \
    return goes_straight_to(heap());                                                                      \
  }                                                                                                       \
  void ProgramHeap::goes_round() noexcept {                                                               \
    goes_round_to(heap());                                                                                \
  }                                                                                                       \
  bool ProgramHeap::may_be_locked() noexcept {                                                            \
    return !HeldForForks<TYPE> && !TYPE::info.thread_safe;                                                \
  }                                                                                                       \
  bool ProgramHeap::may_ask_who_calls() noexcept {                                                        \
    return false;                                                                                         \
  }                                                                                                       \
  void ProgramHeap::hold() noexcept {                                                                     \
    heap().hold();                                                                                        \
  }                                                                                                       \
  void ProgramHeap::let_go() noexcept {                                                                   \
    heap().let_go();                                                                                      \
  }                                                                                                       \
  bool ProgramHeap::lies_apart() noexcept {                                                               \
    return false;                                                                                         \
  }                                                                                                       \
  void* ProgramHeap::allocate(std::size_t size) noexcept {                                                \
    return heap().allocate(size);                                                                         \
  }                                                                                                       \
  void* ProgramHeap::allocate_aligned(std::size_t alignment, std::size_t size) noexcept {                 \
    return heap().allocate_aligned(alignment, size);                                                      \
  }                                                                                                       \
  void* ProgramHeap::allocate_zeroed(std::size_t size) noexcept {                                         \
    return heap().allocate_zeroed(size);                                                                  \
  }                                                                                                       \
  void* ProgramHeap::reallocate(void* block, std::size_t size) noexcept {                                 \
    return heap().reallocate(block, size);                                                                \
  }                                                                                                       \
  void ProgramHeap::deallocate(void* block) noexcept {                                                    \
    heap().deallocate(block);                                                                             \
  }                                                                                                       \
  std::size_t ProgramHeap::usable_size(const void* block) noexcept {                                      \
    return heap().usable_size(block);                                                                     \
  }                                                                                                       \
  }                                                                                                       \
  static_assert(true)
