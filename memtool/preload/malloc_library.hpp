// A strategy as a malloc replacement, for any program: one file of a shared library says
//   MEMTOOL_MALLOC(memtool::Powers, "smallest=5")
// and defines with it what the dynamic linker looks for (docs/your-own-allocator.md). It is the interface that
// `memtool run` gives a program (interface.hpp), with the strategy compiled into it. The same BareHeap answers as under
// `--as malloc`: it keeps a header where the strategy needs the size at the free, and locks what is not thread-safe.
//
// A strategy that itself takes memory from malloc, or from new, cannot be one: it would call itself. (What it asks for
// to keep its books is served apart.)
#pragma once

#include "allocators/support/as_malloc.hpp"
#include "preload/symbols.hpp"

#define MEMTOOL_MALLOC(TYPE, PARAMETERS)                                                                    \
  static_assert(memtool::Strategy<TYPE>);                                                                   \
  namespace memtool {                                                                                       \
  namespace {                                                                                               \
  constinit BareHeap<TYPE>* heap = nullptr; /* never destroyed: programs free until the very end */         \
  }                                                                                                         \
  bool ProgramHeap::can_open() noexcept {                                                                   \
    return true;                                                                                            \
  }                                                                                                         \
  void ProgramHeap::open(Region& region) {                                                                  \
    alignas(BareHeap<TYPE>) static std::byte memory[sizeof(BareHeap<TYPE>)];                                \
    heap = new (memory) BareHeap<TYPE>(TYPE::info.thread_safe, region, Parameters(TYPE::info, PARAMETERS)); \
  }                                                                                                         \
  Passage ProgramHeap::passage() noexcept {                                                                 \
    return heap->passage();                                                                                 \
  }                                                                                                         \
  bool ProgramHeap::may_be_straight() noexcept {                                                            \
    return HeldForForks<TYPE>;                                                                              \
  }                                                                                                         \
  bool ProgramHeap::may_ask_who_calls() noexcept {                                                          \
    return false;                                                                                           \
  }                                                                                                         \
  void ProgramHeap::hold() noexcept {                                                                       \
    heap->hold();                                                                                           \
  }                                                                                                         \
  void ProgramHeap::let_go() noexcept {                                                                     \
    heap->let_go();                                                                                         \
  }                                                                                                         \
  bool ProgramHeap::lies_apart() noexcept {                                                                 \
    return false;                                                                                           \
  }                                                                                                         \
  void* ProgramHeap::allocate(std::size_t size) noexcept {                                                  \
    return heap->allocate(size);                                                                            \
  }                                                                                                         \
  void* ProgramHeap::allocate_aligned(std::size_t alignment, std::size_t size) noexcept {                   \
    return heap->allocate_aligned(alignment, size);                                                         \
  }                                                                                                         \
  void* ProgramHeap::allocate_zeroed(std::size_t size) noexcept {                                           \
    return heap->allocate_zeroed(size);                                                                     \
  }                                                                                                         \
  void* ProgramHeap::reallocate(void* block, std::size_t size) noexcept {                                   \
    return heap->reallocate(block, size);                                                                   \
  }                                                                                                         \
  void ProgramHeap::deallocate(void* block) noexcept {                                                      \
    heap->deallocate(block);                                                                                \
  }                                                                                                         \
  std::size_t ProgramHeap::usable_size(const void* block) noexcept {                                        \
    return heap->usable_size(block);                                                                        \
  }                                                                                                         \
  }                                                                                                         \
  static_assert(true)
