// The functions for which the dynamic linker looks: every function of a malloc, in C and C++, as the C library and the
// standard define them. Include it once, in the one file of a library that defines the heap (ProgramHeap).
#pragma once

#include <malloc.h>

#include "preload/interface.hpp"

#define EXPORT [[gnu::visibility("default")]]
#define CALLER __builtin_return_address(0)

extern "C" {

EXPORT void* malloc(std::size_t size) {
  return memtool::allocate(size, memtool::kDefaultAlignment, CALLER);
}
EXPORT void free(void* block) {
  memtool::deallocate(block);
}
EXPORT void* calloc(std::size_t count, std::size_t size) {
  return memtool::allocate_zeroed(count, size, CALLER);
}
EXPORT void* realloc(void* block, std::size_t size) {
  return memtool::reallocate(block, size, CALLER);
}
EXPORT void* reallocarray(void* block, std::size_t count, std::size_t size) noexcept {
  std::size_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return errno = ENOMEM, nullptr;
  return memtool::reallocate(block, bytes, CALLER);
}
EXPORT int posix_memalign(void** to, std::size_t alignment, std::size_t size) {
  if (!memtool::is_alignment(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  const int problem = errno;
  void* block = memtool::allocate(size, alignment, CALLER);
  errno = problem;  // POSIX: errno is not set
  if (block == nullptr) return ENOMEM;
  *to = block;
  return 0;
}
EXPORT void* aligned_alloc(std::size_t alignment, std::size_t size) {
  return memtool::allocate_aligned(alignment, size, CALLER);
}
EXPORT void* memalign(std::size_t alignment, std::size_t size) {
  return memtool::allocate_aligned(alignment, size, CALLER);
}
EXPORT void* valloc(std::size_t size) {
  return memtool::allocate(size, memtool::kPage, CALLER);
}
EXPORT void* pvalloc(std::size_t size) {
  return memtool::allocate(memtool::in_pages(size), memtool::kPage, CALLER);
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

// Requests of the C++ library that is linked into this one (CMakeLists.txt, --wrap=malloc) are not the program's.
// Before the heap exists, the request is for its reserve of exceptions without memory. It can do without the reserve,
// because exceptions are then served from the books.
void* __wrap_malloc(std::size_t size) {
  if (memtool::phase.load() == memtool::Phase::none) return nullptr;
  return memtool::books.allocate(size, memtool::kDefaultAlignment);
}

// Other names of these functions in the C library.
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

// What the C++ library linked into this one does with an uncaught exception. Its own version demangles names, with code
// that would make up a third of a library with one strategy.
namespace __gnu_cxx {
void __verbose_terminate_handler();
void __verbose_terminate_handler() {
  memtool::give_up("an exception that nothing catches");
}
}  // namespace __gnu_cxx

#define ALIGNED(alignment) std::max(static_cast<std::size_t>(alignment), memtool::kDefaultAlignment)

EXPORT void* operator new(std::size_t size) {
  return memtool::allocate_or_throw(size, memtool::kDefaultAlignment, CALLER);
}
EXPORT void* operator new[](std::size_t size) {
  return memtool::allocate_or_throw(size, memtool::kDefaultAlignment, CALLER);
}
EXPORT void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, memtool::kDefaultAlignment, CALLER);
}
EXPORT void* operator new[](std::size_t size, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, memtool::kDefaultAlignment, CALLER);
}
EXPORT void* operator new(std::size_t size, std::align_val_t alignment) {
  return memtool::allocate_or_throw(size, ALIGNED(alignment), CALLER);
}
EXPORT void* operator new[](std::size_t size, std::align_val_t alignment) {
  return memtool::allocate_or_throw(size, ALIGNED(alignment), CALLER);
}
EXPORT void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, ALIGNED(alignment), CALLER);
}
EXPORT void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return memtool::allocate_or_null(size, ALIGNED(alignment), CALLER);
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
