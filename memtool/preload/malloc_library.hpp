// A strategy as a malloc replacement, for any program: one file of a shared library says
//   MEMTOOL_MALLOC(memtool::Powers, "smallest=5")
// and defines with it what the dynamic linker looks for (docs/your-own-allocator.md). It is the interface that
// `memtool run` gives a program (interface.hpp), with the strategy compiled into it. The same BareHeap answers as under
// `--as malloc`: it keeps a header where the strategy needs the size at the free, and locks what is not thread-safe.
//
// A strategy that itself takes memory from malloc, or from new, cannot be one: it would call itself. (What it asks for
// to keep its books is served apart.)
#pragma once

#include <concepts>
#include <cstddef>
#include <new>

#include "allocators/support/as_malloc.hpp"
#include "allocators/support/per_thread.hpp"
#include "preload/symbols.hpp"

namespace memtool {
namespace {

// Knows which threads have called it; unbind(): until the thread's next call.
template <class S>
concept BindsThreads = kOneHeap && HeldForForks<S> && requires(S s, const S c) {
  { c.is_bound() } noexcept -> std::same_as<bool>;
  { s.unbind() } noexcept;
};
// Such a heap is asked for what a call needs anyway: one load says that there is a heap, that the thread is known to
// it, and where what it keeps for the thread is.
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
  /* Where it lies is known when this is compiled. Never destroyed: programs free until the very end. */  \
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
