/* A malloc replacement that is slower by a known amount: the C library's own, behind MEMTOOL_DELAY dependent additions
 * a call. Built twice, without a delay and with one, the two differ in nothing else: a true slowdown for
 * benchmarks/experiment.py to find. The argument depends on the delay, so that the processor cannot overlap it. */
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>

void* __libc_malloc(size_t);
void __libc_free(void*);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

static inline uintptr_t delayed(uintptr_t value) {
  for (int step = 0; step < MEMTOOL_DELAY; ++step) {
    value += 1;
    __asm__ volatile("" : "+r"(value));
  }
  return value - MEMTOOL_DELAY;
}

/* When glibc gives the top of its heap back depends on where the heap begins: two speeds, which would drown a tenth
 * (docs/measurement.md). It keeps it here. */
__attribute__((constructor)) static void keep_the_top(void) {
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

void* malloc(size_t size) {
  return __libc_malloc(delayed(size));
}
void free(void* block) {
  __libc_free((void*)delayed((uintptr_t)block));
}
void* calloc(size_t count, size_t size) {
  return __libc_calloc(count, delayed(size));
}
void* realloc(void* block, size_t size) {
  return __libc_realloc(block, delayed(size));
}
void* memalign(size_t alignment, size_t size) {
  return __libc_memalign(alignment, delayed(size));
}
void* aligned_alloc(size_t alignment, size_t size) {
  return __libc_memalign(alignment, delayed(size));
}
int posix_memalign(void** block, size_t alignment, size_t size) {
  *block = __libc_memalign(alignment, delayed(size));
  return *block == NULL ? 12 : 0;
}
size_t malloc_usable_size(void* block) {
  /* The size word in front of a block of glibc's; its three lowest bits are flags, and a mapped block has two words. */
  if (block == NULL) return 0;
  size_t word = ((size_t*)block)[-1];
  return (word & ~(size_t)7) - ((word & 2) != 0 ? 2 * sizeof(size_t) : sizeof(size_t));
}
