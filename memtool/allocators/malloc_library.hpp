// A strategy as a malloc replacement, for any program: one file of a shared library says
//   MEMTOOL_MALLOC(memtool::Powers, "smallest=5")
// and defines with it what the dynamic linker looks for (docs/your-own-allocator.md). The same BareHeap answers as
// under
// `--as malloc`: it keeps a header where the strategy needs the size at the free, and locks what is not thread-safe.
//
// A strategy that itself takes memory from malloc, or from new, cannot be one: it would call itself. A program may fork
// at any time: the heap is held meanwhile. What a strategy that is thread-safe by itself locks is its own affair.
#pragma once

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "allocators/concept/region.hpp"
#include "allocators/support/as_malloc.hpp"

namespace memtool {

// POSIX wants any other to be refused with EINVAL.
constexpr bool is_alignment(std::size_t alignment) noexcept {
  return std::has_single_bit(alignment);
}
static_assert(is_alignment(8) && is_alignment(4096) && !is_alignment(0) && !is_alignment(24));

template <class S>
class MallocLibrary {
 public:
  // Made at the first call, and never destroyed: programs free until the very end.
  static BareHeap<S>& heap(const char* parameters) noexcept {
    static BareHeap<S>* const made = make(parameters);
    return *made;
  }
  static void* or_no_memory(void* block) noexcept {
    if (block == nullptr) errno = ENOMEM;
    return block;
  }

 private:
  // Address space only; as much as there is.
  static constexpr std::size_t kMostReserved = std::size_t{16} << 30;
  static constexpr std::size_t kLeastReserved = std::size_t{64} << 20;

  static BareHeap<S>* make(const char* parameters) noexcept {
    alignas(Region) static std::byte region[sizeof(Region)];
    alignas(BareHeap<S>) static std::byte heap[sizeof(BareHeap<S>)];
    for (std::size_t bytes = kMostReserved; bytes >= kLeastReserved; bytes /= 2) {
      void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (base == MAP_FAILED) continue;
      auto* memory = new (region) Region(base, bytes);
      held = new (heap) BareHeap<S>(S::info.thread_safe, *memory, Parameters(S::info, parameters));
      // As early as this: what others have to do before a fork happens before ours, and may allocate.
      const auto let_go = [] { held->let_go(); };
      if (pthread_atfork([] { held->hold(); }, let_go, let_go) != 0) std::abort();
      return held;
    }
    std::abort();
  }

  static inline BareHeap<S>* held = nullptr;  // for who forks
};

}  // namespace memtool

#define MEMTOOL_MALLOC(TYPE, PARAMETERS)                                                                           \
  extern "C" {                                                                                                     \
  [[gnu::visibility("default")]] void* malloc(std::size_t size) noexcept {                                         \
    using Library = memtool::MallocLibrary<TYPE>;                                                                  \
    return Library::or_no_memory(Library::heap(PARAMETERS).allocate(size));                                        \
  }                                                                                                                \
  [[gnu::visibility("default")]] void free(void* block) noexcept {                                                 \
    if (block != nullptr) memtool::MallocLibrary<TYPE>::heap(PARAMETERS).deallocate(block);                        \
  }                                                                                                                \
  [[gnu::visibility("default")]] void* calloc(std::size_t count, std::size_t size) noexcept {                      \
    using Library = memtool::MallocLibrary<TYPE>;                                                                  \
    std::size_t bytes = 0;                                                                                         \
    if (__builtin_mul_overflow(count, size, &bytes)) return Library::or_no_memory(nullptr);                        \
    return Library::or_no_memory(Library::heap(PARAMETERS).allocate_zeroed(bytes));                                \
  }                                                                                                                \
  [[gnu::visibility("default")]] void* realloc(void* block, std::size_t size) noexcept {                           \
    if (block == nullptr) return malloc(size);                                                                     \
    using Library = memtool::MallocLibrary<TYPE>;                                                                  \
    return Library::or_no_memory(Library::heap(PARAMETERS).reallocate(block, size + (size == 0)));                 \
  }                                                                                                                \
  [[gnu::visibility("default")]] void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {           \
    using Library = memtool::MallocLibrary<TYPE>;                                                                  \
    if (!memtool::is_alignment(alignment)) return errno = EINVAL, nullptr;                                         \
    return Library::or_no_memory(Library::heap(PARAMETERS).allocate_aligned(alignment, size));                     \
  }                                                                                                                \
  [[gnu::visibility("default")]] void* memalign(std::size_t alignment, std::size_t size) noexcept {                \
    return aligned_alloc(alignment, size);                                                                         \
  }                                                                                                                \
  [[gnu::visibility("default")]] int posix_memalign(void** to, std::size_t alignment, std::size_t size) noexcept { \
    if (!memtool::is_alignment(alignment) || alignment % sizeof(void*) != 0) return EINVAL;                        \
    void* block = memtool::MallocLibrary<TYPE>::heap(PARAMETERS).allocate_aligned(alignment, size);                \
    if (block == nullptr) return ENOMEM;                                                                           \
    *to = block;                                                                                                   \
    return 0;                                                                                                      \
  }                                                                                                                \
  [[gnu::visibility("default")]] std::size_t malloc_usable_size(void* block) noexcept {                            \
    return block == nullptr ? 0 : memtool::MallocLibrary<TYPE>::heap(PARAMETERS).usable_size(block);               \
  }                                                                                                                \
  }                                                                                                                \
  [[gnu::constructor]] static void memtool_malloc_begins() noexcept { /* before there are threads */               \
    memtool::MallocLibrary<TYPE>::heap(PARAMETERS);                                                                \
  }                                                                                                                \
  static_assert(memtool::Strategy<TYPE>)
