// Makes a heap the malloc of a program: it implements the rules of C and POSIX for errno, overflow and alignment, and
// handles blocks of other allocators, the time before the heap exists, and forks. A file that includes this defines the
// heap (ProgramHeap) and includes symbols.hpp, which has the functions that the dynamic linker finds.
//
// Requests before the heap can be created, and the heap's own requests, are served from the books (books.hpp).
#pragma once

#include <dlfcn.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "allocators/support/books/call_site.hpp"
#include "preload/books.hpp"
#include "preload/presence.hpp"

namespace memtool {

// The only heap of the library, defined by its single file. Sizes and alignments are those of as_malloc.hpp.
struct ProgramHeap {
  static inline bool can_open() noexcept;   // false: it is too early; asked again at the next call
  static inline void open(Region& region);  // throws if that fails
  // How a thread calls the heap after its first call. If this is known at compile time, it costs the calls nothing.
  static inline Passage passage() noexcept;
  // Whether the calling thread calls the heap directly. goes_round() ends this until its next call.
  static inline bool goes_straight() noexcept;
  static inline void goes_round() noexcept;
  static inline bool may_be_locked() noexcept;
  static inline bool may_ask_who_calls() noexcept;  // see call_site
  static inline void hold() noexcept;
  static inline void let_go() noexcept;
  static inline bool lies_apart() noexcept;  // blocks may lie outside of the region

  static inline void* allocate(std::size_t size) noexcept;
  static inline void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept;
  static inline void* allocate_zeroed(std::size_t size) noexcept;
  static inline void* reallocate(void* block, std::size_t size) noexcept;
  static inline void deallocate(void* block) noexcept;
  static inline std::size_t usable_size(const void* block) noexcept;
};

namespace {

constexpr std::size_t kMostReserved = std::size_t{64} << 30;
constexpr std::size_t kLeastReserved = std::size_t{64} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPage = 4096;

enum class Phase : int { none, making, ready };

constinit Books books;
constinit Presence presence;
constinit std::atomic<Phase> phase{Phase::none};
constinit Region* region = nullptr;
constinit std::uintptr_t region_begin = 0;
constinit std::uintptr_t region_bytes = 0;
constinit thread_local Presence::Place* own_place [[gnu::tls_model("initial-exec")]] = nullptr;
constinit thread_local Passage passage [[gnu::tls_model("initial-exec")]] = Passage::round;
[[gnu::always_inline]] inline bool goes_locked() noexcept {
  return ProgramHeap::may_be_locked() && passage == Passage::locked;
}
constinit pthread_key_t at_thread_end{};

[[noreturn]] void give_up(const char* why) {
  char text[512];
  const int length = std::snprintf(text, sizeof text, "memtool: malloc: %s\n", why);
  if (length > 0) (void)!write(STDERR_FILENO, text, std::min(sizeof text, static_cast<std::size_t>(length)));
  _exit(127);
}

// While a thread is inside, its requests for memory are served from the books.
class Inside {
 public:
  [[gnu::always_inline]] Inside() noexcept : place_(own_place) {
    if (place_ == nullptr) [[unlikely]]
      place_ = first_time();
    presence.enter(*place_);
  }
  [[gnu::always_inline]] ~Inside() { Presence::leave(*place_); }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

 private:
  [[gnu::noinline, gnu::cold]] static Presence::Place* first_time() noexcept {
    Presence::Place* place = presence.take(books);
    if (place == nullptr) give_up("no memory for another thread");
    place->is_inside.store(true, std::memory_order_relaxed);  // the C library may request memory for its own records
    own_place = place;
    pthread_setspecific(at_thread_end, place);
    return place;
  }

  Presence::Place* place_;
};

// Marks a thread that calls a locked heap.
class Marked {
 public:
  [[gnu::always_inline]] explicit Marked(const void* caller) noexcept {
    passage = Passage::inside;
    if (ProgramHeap::may_ask_who_calls()) call_site = caller;
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  [[gnu::always_inline]] ~Marked() {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    passage = Passage::locked;
  }
  Marked(const Marked&) = delete;
  Marked& operator=(const Marked&) = delete;
};

bool is_inside() noexcept {
  if (passage == Passage::inside) return true;
  return own_place != nullptr && own_place->is_inside.load(std::memory_order_relaxed);
}

// The C library frees memory of a thread after the thread's destructors. Only its place remains then, and is passed on.
void thread_ends(void* place) {
  own_place = nullptr;
  ProgramHeap::goes_round();
  static_cast<Presence::Place*>(place)->is_taken.store(false, std::memory_order_release);
}

Region* reserve() {
  alignas(Region) static std::byte memory[sizeof(Region)];
  for (std::size_t bytes = kMostReserved; bytes >= kLeastReserved; bytes /= 2) {
    void* base =
        mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) continue;
    region_begin = (reinterpret_cast<std::uintptr_t>(base) + kHugePage - 1) & ~(kHugePage - 1);
    region_bytes = bytes;
    return new (memory) Region(reinterpret_cast<void*>(region_begin), bytes);
  }
  give_up("no address space for a heap");
}

[[gnu::noinline, gnu::cold]] bool make() {
  Phase none = Phase::none;
  // The dynamic linker requests memory before there is an environment and before constructors have run.
  if (environ == nullptr || !ProgramHeap::can_open()) return false;
  if (!phase.compare_exchange_strong(none, Phase::making)) return false;
  pthread_key_create(&at_thread_end, thread_ends);
  Presence::prepare();
  try {
    const Inside inside;
    region = reserve();
    ProgramHeap::open(*region);
  } catch (const std::exception& problem) {
    give_up(problem.what());
  }
  // The books come last, because a thread inside a locked heap may need them to get out.
  const auto stop = [] {
    presence.stop_others(own_place);
    ProgramHeap::hold();
    books.lock();
  };
  const auto go_on = [] {
    books.unlock();
    ProgramHeap::let_go();
    presence.go_on();
  };
  const auto go_on_alone = [] {
    books.unlock();
    ProgramHeap::let_go();
    presence.go_on_alone(own_place);
  };
  pthread_atfork(stop, go_on, go_on_alone);
  phase.store(Phase::ready, std::memory_order_release);
  return true;
}

[[gnu::always_inline]] inline bool is_ready() {
  return phase.load(std::memory_order_acquire) == Phase::ready || make();
}

[[gnu::noinline, gnu::cold]] void* no_memory() noexcept {
  errno = ENOMEM;
  return nullptr;
}
[[gnu::always_inline]] inline void* or_no_memory(void* block) noexcept {
  return block != nullptr ? block : no_memory();
}

bool is_foreign(const void* block) noexcept {
  return !ProgramHeap::lies_apart() && !region->contains(block, 1);
}

// Frees a block of another allocator, from a library that was bound to the C library's own functions.
[[gnu::noinline, gnu::cold]] void free_foreign(void* block) {
  static const auto proper = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_NEXT, "free"));
  if (proper != nullptr) proper(block);
}
[[gnu::noinline, gnu::cold]] std::size_t size_of_foreign(void* block) {
  static const auto proper = reinterpret_cast<std::size_t (*)(void*)>(dlsym(RTLD_NEXT, "malloc_usable_size"));
  return proper == nullptr ? 0 : proper(block);
}

[[gnu::always_inline]] inline void* take(std::size_t size, std::size_t alignment) noexcept {
  return alignment <= kDefaultAlignment ? ProgramHeap::allocate(size) : ProgramHeap::allocate_aligned(alignment, size);
}

// `caller`: the return address in the program.
[[gnu::noinline]] void* allocate_round(std::size_t size, std::size_t alignment, const void* caller) noexcept {
  if (size > PTRDIFF_MAX) return no_memory();
  if (!is_ready() || is_inside()) [[unlikely]]
    return or_no_memory(books.allocate(size, alignment));
  const Inside inside;
  call_site = caller;
  void* block = take(size, alignment);
  passage = ProgramHeap::passage();
  return or_no_memory(block);
}
[[gnu::always_inline]] inline void* allocate(std::size_t size, std::size_t alignment, const void* caller) noexcept {
  if (ProgramHeap::goes_straight()) [[likely]]
    return take(size, alignment);
  if (!goes_locked() || size > PTRDIFF_MAX) [[unlikely]]
    return allocate_round(size, alignment, caller);
  const Marked marked(caller);
  return or_no_memory(take(size, alignment));
}

void* allocate_zeroed(std::size_t count, std::size_t size, const void* caller) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX) return no_memory();
  if (ProgramHeap::goes_straight()) [[likely]]
    return ProgramHeap::allocate_zeroed(bytes);
  if (goes_locked()) {
    const Marked marked(caller);
    return or_no_memory(ProgramHeap::allocate_zeroed(bytes));
  }
  if (!is_ready() || is_inside()) [[unlikely]] {
    void* block = or_no_memory(books.allocate(bytes, kDefaultAlignment));
    return block == nullptr ? nullptr : std::memset(block, 0, bytes);
  }
  const Inside inside;
  call_site = caller;
  return or_no_memory(ProgramHeap::allocate_zeroed(bytes));
}

[[gnu::noinline]] void deallocate_round(void* block) noexcept {
  if (block == nullptr) return;
  if (books.contains(block)) [[unlikely]]
    return books.deallocate(block);
  const int problem = errno;
  if (!is_ready() || is_foreign(block)) [[unlikely]] {
    free_foreign(block);
  } else if (!is_inside()) {  // else: a signal handler frees while its thread is in the heap; nothing can be done
    const Inside inside;
    ProgramHeap::deallocate(block);
  }
  errno = problem;
}
[[gnu::always_inline]] inline bool is_in_region(const void* block) noexcept {
  return reinterpret_cast<std::uintptr_t>(block) - region_begin < region_bytes;
}
[[gnu::always_inline]] inline void deallocate(void* block) noexcept {
  if (!is_in_region(block)) [[unlikely]]
    return deallocate_round(block);
  if (ProgramHeap::goes_straight()) [[likely]]
    return ProgramHeap::deallocate(block);
  if (!goes_locked()) [[unlikely]]
    return deallocate_round(block);
  const Marked marked(nullptr);
  ProgramHeap::deallocate(block);
}

std::size_t usable_size(void* block) noexcept {
  if (block == nullptr) return 0;
  if (books.contains(block)) return books.usable_size(block);
  if (!is_ready() || is_foreign(block)) return size_of_foreign(block);
  const Inside inside;
  return ProgramHeap::usable_size(block);
}

void* move_to_another(void* block, std::size_t size, const void* caller) noexcept {
  void* fresh = allocate(size, kDefaultAlignment, caller);
  if (fresh == nullptr) return nullptr;
  std::memcpy(fresh, block, std::min(size, usable_size(block)));
  deallocate(block);
  return fresh;
}

void* reallocate(void* block, std::size_t size, const void* caller) noexcept {
  if (block == nullptr) return allocate(size, kDefaultAlignment, caller);
  if (size > PTRDIFF_MAX) return no_memory();
  if (size == 0) return deallocate(block), nullptr;  // as the C library of this system does
  if (is_in_region(block)) [[likely]] {
    if (ProgramHeap::goes_straight()) [[likely]]
      return ProgramHeap::reallocate(block, size);
    if (goes_locked()) {
      const Marked marked(caller);
      return or_no_memory(ProgramHeap::reallocate(block, size));
    }
  }
  if (books.contains(block) || !is_ready() || is_inside() || is_foreign(block)) [[unlikely]]
    return move_to_another(block, size, caller);
  const Inside inside;
  call_site = caller;
  return or_no_memory(ProgramHeap::reallocate(block, size));
}

// POSIX requires that any other value is refused with EINVAL.
constexpr bool is_alignment(std::size_t alignment) noexcept {
  return std::has_single_bit(alignment);
}

void* allocate_aligned(std::size_t alignment, std::size_t size, const void* caller) noexcept {
  if (!is_alignment(alignment)) return errno = EINVAL, nullptr;
  return allocate(size, alignment, caller);
}

constexpr std::size_t in_pages(std::size_t size) noexcept {
  return (size + kPage - 1) & ~(kPage - 1);
}

// Uses the program's C++ library, if it has one, because only that one knows its handler and counts its exceptions. The
// one linked into this library may be another.
template <class Function>
Function of_program(const char* name) noexcept {
  void* function = dlsym(RTLD_NEXT, name);
  if (function == nullptr) {
    // A C++ library that came with a plug-in is not visible here.
    if (void* library = dlopen("libstdc++.so.6", RTLD_LAZY | RTLD_NOLOAD)) function = dlsym(library, name);
  }
  return reinterpret_cast<Function>(function);
}

[[noreturn]] void throw_bad_alloc() {
  if (const auto throws = of_program<void (*)()>("_ZSt17__throw_bad_allocv")) throws();
  throw std::bad_alloc();
}

[[gnu::noinline, gnu::cold]] void* allocate_again_or_throw(std::size_t size, std::size_t alignment,
                                                           const void* caller) {
  const auto get_handler = of_program<std::new_handler (*)()>("_ZSt15get_new_handlerv");
  for (;;) {
    const std::new_handler handler = get_handler == nullptr ? nullptr : get_handler();
    if (handler == nullptr) throw_bad_alloc();
    handler();
    if (void* block = allocate(size, alignment, caller)) return block;
  }
}
[[gnu::always_inline]] inline void* allocate_or_throw(std::size_t size, std::size_t alignment, const void* caller) {
  if (void* block = allocate(size, alignment, caller)) [[likely]]
    return block;
  return allocate_again_or_throw(size, alignment, caller);
}
// A handler may throw, and the exception has to be caught by the program's library. So its own function calls our
// function that throws.
[[gnu::noinline, gnu::cold]] void* allocate_again_or_null(std::size_t size, std::size_t alignment) noexcept {
  if (alignment > kDefaultAlignment) {
    using Function = void* (*)(std::size_t, std::align_val_t, const std::nothrow_t&);
    const auto proper = of_program<Function>("_ZnwmSt11align_val_tRKSt9nothrow_t");
    return proper == nullptr ? nullptr : proper(size, std::align_val_t{alignment}, std::nothrow);
  }
  using Function = void* (*)(std::size_t, const std::nothrow_t&);
  const auto proper = of_program<Function>("_ZnwmRKSt9nothrow_t");
  return proper == nullptr ? nullptr : proper(size, std::nothrow);
}
[[gnu::always_inline]] inline void* allocate_or_null(std::size_t size, std::size_t alignment,
                                                     const void* caller) noexcept {
  if (void* block = allocate(size, alignment, caller)) [[likely]]
    return block;
  return allocate_again_or_null(size, alignment);
}

}  // namespace
}  // namespace memtool
