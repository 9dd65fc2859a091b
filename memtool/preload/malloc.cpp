// Any strategy, with its adaptors, as the malloc of a real program (memtool run).
//
// Environment: MEMTOOL_MALLOC, the recipe ("tlsf+lock+as-malloc"); MEMTOOL_MALLOC_PARAMETERS, those of each part
// ("subdivisions=32++"); MEMTOOL_MALLOC_REPORT, the file that is appended to when the process ends, a line of JSON.
//
// What comes before the heap can be made, and what the heap asks for itself, is served from books (books.hpp).
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
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
#include <string>

#include "allocators/support/as_malloc.hpp"
#include "engine/registry/recipe.hpp"
#include "preload/books.hpp"
#include "preload/presence.hpp"

namespace memtool {
namespace {

constexpr std::size_t kMostReserved = std::size_t{64} << 30;
constexpr std::size_t kLeastReserved = std::size_t{64} << 20;
constexpr std::size_t kHugePage = std::size_t{2} << 20;
constexpr std::size_t kPage = 4096;

enum class Phase : int { none, making, ready };

constinit Books books;
constinit Presence presence;
constinit std::atomic<Phase> phase{Phase::none};
constinit MallocCalls calls{};
constinit MallocHeap* heap = nullptr;
constinit Region* region = nullptr;
constinit Findings* findings = nullptr;
constinit bool lies_apart = false;  // blocks may lie outside of the region
constinit thread_local Presence::Place* own_place [[gnu::tls_model("initial-exec")]] = nullptr;
constinit pthread_key_t at_thread_end{};

[[noreturn]] void give_up(const char* why) {
  char text[512];
  const int length = std::snprintf(text, sizeof text, "memtool run: %s\n", why);
  if (length > 0) (void)!write(STDERR_FILENO, text, std::min(sizeof text, static_cast<std::size_t>(length)));
  _exit(127);
}

// Inside, whatever asks for memory gets it from the books.
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
    place->is_inside.store(true, std::memory_order_relaxed);  // the C library may ask for memory for its own books
    own_place = place;
    pthread_setspecific(at_thread_end, place);
    return place;
  }

  Presence::Place* place_;
};

bool is_inside() noexcept {
  return own_place != nullptr && own_place->is_inside.load(std::memory_order_relaxed);
}

// The C library frees for a thread after its destructors; what is left then is a place that is handed on.
void thread_ends(void* place) {
  own_place = nullptr;
  static_cast<Presence::Place*>(place)->is_taken.store(false, std::memory_order_release);
}

Region* reserve() {
  alignas(Region) static std::byte memory[sizeof(Region)];
  for (std::size_t bytes = kMostReserved; bytes >= kLeastReserved; bytes /= 2) {
    void* base =
        mmap(nullptr, bytes + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) continue;
    const auto address = (reinterpret_cast<std::uintptr_t>(base) + kHugePage - 1) & ~(kHugePage - 1);
    return new (memory) Region(reinterpret_cast<void*>(address), bytes);
  }
  give_up("no address space for a heap");
}

[[gnu::noinline, gnu::cold]] bool make() {
  Phase none = Phase::none;
  // The dynamic linker asks for memory before there is an environment, or a list of strategies.
  if (environ == nullptr || strategies().empty()) return false;
  if (!phase.compare_exchange_strong(none, Phase::making)) return false;
  const char* name = std::getenv("MEMTOOL_MALLOC");
  const char* parameters = std::getenv("MEMTOOL_MALLOC_PARAMETERS");
  if (name == nullptr) give_up("MEMTOOL_MALLOC names no allocator");
  pthread_key_create(&at_thread_end, thread_ends);
  Presence::prepare();
  try {
    const Inside inside;
    region = reserve();
    findings = new Findings;
    const Recipe recipe(name, parameters == nullptr ? "" : parameters);
    lies_apart = std::string_view(name).find("+guard") != std::string_view::npos;
    heap = recipe.open_as_malloc(*region, *findings).release();
    calls = heap->calls();
  } catch (const std::exception& problem) {
    give_up(problem.what());
  }
  pthread_atfork([] { presence.stop_others(own_place, books); }, [] { presence.go_on(books); },
                 [] { presence.go_on_alone(own_place, books); });
  phase.store(Phase::ready, std::memory_order_release);
  return true;
}

[[gnu::always_inline]] inline bool is_ready() {
  return phase.load(std::memory_order_acquire) == Phase::ready || make();
}

[[gnu::always_inline]] inline void* or_no_memory(void* block) noexcept {
  if (block == nullptr) [[unlikely]]
    errno = ENOMEM;
  return block;
}

bool is_foreign(const void* block) noexcept {
  return !lies_apart && !region->contains(block, 1);
}

// A block of another allocator: of a library that was bound to the C library's own.
[[gnu::noinline, gnu::cold]] void free_foreign(void* block) {
  static const auto proper = reinterpret_cast<void (*)(void*)>(dlsym(RTLD_NEXT, "free"));
  if (proper != nullptr) proper(block);
}
[[gnu::noinline, gnu::cold]] std::size_t size_of_foreign(void* block) {
  static const auto proper = reinterpret_cast<std::size_t (*)(void*)>(dlsym(RTLD_NEXT, "malloc_usable_size"));
  return proper == nullptr ? 0 : proper(block);
}

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (size > PTRDIFF_MAX) return or_no_memory(nullptr);
  if (!is_ready() || is_inside()) [[unlikely]]
    return or_no_memory(books.allocate(size, alignment));
  const Inside inside;
  return or_no_memory(alignment <= kDefaultAlignment ? calls.allocate(size) : calls.allocate_aligned(alignment, size));
}

void* allocate_zeroed(std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX) return or_no_memory(nullptr);
  if (!is_ready() || is_inside()) [[unlikely]] {
    void* block = or_no_memory(books.allocate(bytes, kDefaultAlignment));
    return block == nullptr ? nullptr : std::memset(block, 0, bytes);
  }
  const Inside inside;
  return or_no_memory(calls.allocate_zeroed(1, bytes));
}

void deallocate(void* block) noexcept {
  if (block == nullptr) return;
  if (books.contains(block)) [[unlikely]]
    return books.deallocate(block);
  const int problem = errno;
  if (!is_ready() || is_foreign(block)) [[unlikely]] {
    free_foreign(block);
  } else if (!is_inside()) {  // else: a signal handler frees while its thread is in the heap; nothing can be done
    const Inside inside;
    calls.deallocate(block);
  }
  errno = problem;
}

std::size_t usable_size(void* block) noexcept {
  if (block == nullptr) return 0;
  if (books.contains(block)) return books.usable_size(block);
  if (!is_ready() || is_foreign(block)) return size_of_foreign(block);
  const Inside inside;
  return heap->usable_size(block, 0);
}

void* move_to_another(void* block, std::size_t size) noexcept {
  void* fresh = allocate(size, kDefaultAlignment);
  if (fresh == nullptr) return nullptr;
  std::memcpy(fresh, block, std::min(size, usable_size(block)));
  deallocate(block);
  return fresh;
}

void* reallocate(void* block, std::size_t size) noexcept {
  if (block == nullptr) return allocate(size, kDefaultAlignment);
  if (size > PTRDIFF_MAX) return or_no_memory(nullptr);
  if (size == 0) return deallocate(block), nullptr;  // as the C library of this system does
  if (books.contains(block) || !is_ready() || is_inside() || is_foreign(block)) [[unlikely]]
    return move_to_another(block, size);
  const Inside inside;
  return or_no_memory(calls.reallocate(block, size));
}

constexpr bool is_alignment(std::size_t alignment) noexcept {
  return std::has_single_bit(alignment);
}

void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept {
  if (!is_alignment(alignment)) return errno = EINVAL, nullptr;
  return allocate(size, alignment);
}

constexpr std::size_t in_pages(std::size_t size) noexcept {
  return (size + kPage - 1) & ~(kPage - 1);
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  for (;;) {
    if (void* block = allocate(size, alignment)) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}
void* allocate_or_null(std::size_t size, std::size_t alignment) noexcept {
  try {
    return allocate_or_throw(size, alignment);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// What the heap is like at the end of the process, and what its adaptors have found.
std::string report() {
  const HeapStats stats = heap->stats();
  std::string finding;
  try {
    heap->check();
    finding = findings->first();
  } catch (const std::exception& problem) {
    finding = problem.what();
  }
  std::string json = worded("{\"process\":%d,\"footprint_bytes\":%zu,\"peak_footprint_bytes\":%zu,\"books_bytes\":%zu",
                            static_cast<int>(getpid()), region->footprint(), region->peak(), books.used());
  if (stats.granted != kNotApplicable)
    json += worded(",\"granted_bytes\":%llu", static_cast<unsigned long long>(stats.granted));
  json += ",\"finding\":\"";
  for (const char each : finding) {
    if (each == '"' || each == '\\') json += '\\';
    if (static_cast<unsigned char>(each) >= ' ') json += each;
  }
  std::string adaptors;
  heap->report(adaptors);
  return json + "\",\"adaptors\":{" + adaptors + "}}\n";
}

[[gnu::destructor]] void finish() {
  const char* path = std::getenv("MEMTOOL_MALLOC_REPORT");
  if (path == nullptr || phase.load() != Phase::ready || is_inside()) return;
  const Inside inside;
  const std::string line = report();
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  (void)!write(file, line.data(), line.size());
  close(file);
}

}  // namespace
}  // namespace memtool

#define EXPORT [[gnu::visibility("default")]]

extern "C" {

EXPORT void* malloc(std::size_t size) {
  return memtool::allocate(size, memtool::kDefaultAlignment);
}
EXPORT void free(void* block) {
  memtool::deallocate(block);
}
EXPORT void* calloc(std::size_t count, std::size_t size) {
  return memtool::allocate_zeroed(count, size);
}
EXPORT void* realloc(void* block, std::size_t size) {
  return memtool::reallocate(block, size);
}
EXPORT void* reallocarray(void* block, std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return errno = ENOMEM, nullptr;
  return memtool::reallocate(block, bytes);
}
EXPORT int posix_memalign(void** to, std::size_t alignment, std::size_t size) {
  if (!memtool::is_alignment(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  const int problem = errno;
  void* block = memtool::allocate(size, alignment);
  errno = problem;  // POSIX: errno is not set
  if (block == nullptr) return ENOMEM;
  *to = block;
  return 0;
}
EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return memtool::allocate_aligned(alignment, size);
}
EXPORT void* memalign(std::size_t alignment, std::size_t size) {
  return memtool::allocate_aligned(alignment, size);
}
EXPORT void* valloc(std::size_t size) {
  return memtool::allocate(size, memtool::kPage);
}
EXPORT void* pvalloc(std::size_t size) {
  return memtool::allocate(memtool::in_pages(size), memtool::kPage);
}
EXPORT void free_sized(void* block, std::size_t) {
  memtool::deallocate(block);
}
EXPORT void free_aligned_sized(void* block, std::size_t, std::size_t) {
  memtool::deallocate(block);
}
EXPORT std::size_t malloc_usable_size(void* block) {
  return memtool::usable_size(block);
}
EXPORT int malloc_trim(std::size_t) {
  return 0;
}
EXPORT int mallopt(int, int) {
  return 1;
}
EXPORT struct mallinfo2 mallinfo2() {
  struct mallinfo2 info{};
  if (memtool::phase.load() != memtool::Phase::ready) return info;
  info.arena = memtool::region->used();
  return info;
}

// Names by which the C library lets itself be called.
#define ALIAS(NAME) [[gnu::alias(#NAME), gnu::copy(NAME), gnu::visibility("default")]]
ALIAS(malloc) void* __libc_malloc(std::size_t);
ALIAS(free) void __libc_free(void*);
ALIAS(calloc) void* __libc_calloc(std::size_t, std::size_t);
ALIAS(realloc) void* __libc_realloc(void*, std::size_t);
ALIAS(memalign) void* __libc_memalign(std::size_t, std::size_t);
ALIAS(valloc) void* __libc_valloc(std::size_t);
ALIAS(pvalloc) void* __libc_pvalloc(std::size_t);
ALIAS(posix_memalign) int __posix_memalign(void**, std::size_t, std::size_t);

}  // extern "C"

#define ALIGNED(alignment) std::max(static_cast<std::size_t>(alignment), memtool::kDefaultAlignment)

EXPORT void* operator new(std::size_t size) {
  return memtool::allocate_or_throw(size, memtool::kDefaultAlignment);
}
EXPORT void* operator new[](std::size_t size) {
  return memtool::allocate_or_throw(size, memtool::kDefaultAlignment);
}
EXPORT void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, memtool::kDefaultAlignment);
}
EXPORT void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, memtool::kDefaultAlignment);
}
EXPORT void* operator new(std::size_t size, std::align_val_t alignment) {
  return memtool::allocate_or_throw(size, ALIGNED(alignment));
}
EXPORT void* operator new[](std::size_t size, std::align_val_t alignment) {
  return memtool::allocate_or_throw(size, ALIGNED(alignment));
}
EXPORT void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, ALIGNED(alignment));
}
EXPORT void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, ALIGNED(alignment));
}
EXPORT void operator delete(void* block) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete[](void* block) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete(void* block, const std::nothrow_t&) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete[](void* block, const std::nothrow_t&) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete(void* block, std::size_t) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete[](void* block, std::size_t) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete(void* block, std::align_val_t) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete[](void* block, std::align_val_t) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete(void* block, std::size_t, std::align_val_t) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete[](void* block, std::size_t, std::align_val_t) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  memtool::deallocate(block);
}
EXPORT void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
  memtool::deallocate(block);
}
