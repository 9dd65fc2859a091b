/* The recorded functions of C. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/recorder.h"

enum { ARENA_BYTES = 256 * 1024 };

/* Serves requests during the look-up of the functions. It is zeroed, and never frees. */
static alignas(16) uint8_t arena[ARENA_BYTES];
static size_t arena_used;

static bool is_of_arena(const void* block) {
  return (uintptr_t)block - (uintptr_t)arena < sizeof arena;
}

/* Stores the size before the block. */
static void* from_arena(size_t size, size_t alignment) {
  if (alignment < 16) alignment = 16;
  const size_t front = (arena_used + 16 + alignment - 1) & ~(alignment - 1);
  if (size > sizeof arena || front > sizeof arena - size) return NULL;
  arena_used = front + size;
  memcpy(arena + front - sizeof size, &size, sizeof size);
  return arena + front;
}

static size_t size_in_arena(const void* block) {
  size_t size;
  memcpy(&size, (const uint8_t*)block - sizeof size, sizeof size);
  return size;
}

/* Runs a call of the allocator, and then the code that records it. Nested calls of the allocator are not recorded.
 *
 * What follows a refusal within an operator new is the program's own: its handler, an exception, another attempt. So
 * the refusal is recorded here, and then the thread is outside. `BLOCK`: what the call returned. */
#define RECORDED(CALL, BLOCK, RECORD)                                                     \
  do {                                                                                    \
    const enum inside was_inside = here.inside;                                           \
    if (LIKELY(was_inside == OUTSIDE)) here.inside = RECORDING;                           \
    CALL;                                                                                 \
    if (LIKELY(was_inside == OUTSIDE) || (was_inside == FORWARDING && (BLOCK) == NULL)) { \
      here.inside = RECORDING;                                                            \
      RECORD;                                                                             \
      here.inside = OUTSIDE;                                                              \
    } else {                                                                              \
      miss();                                                                             \
    }                                                                                     \
  } while (0)

static COLD void* first_malloc(size_t size, const void* caller) {
  if (!has_functions()) return from_arena(size, 16);
  void* block;
  RECORDED(block = common.real.malloc(size), block,
           put_block(here.state, MEMTOOL_ALLOCATE, false, block, size, 0, caller));
  return block;
}

static APART void* recorded_malloc(size_t size, const void* caller, struct state* state) {
  here.inside = RECORDING;
  void* block = common.real.malloc(size);
  put_block(state, MEMTOOL_ALLOCATE, false, block, size, 0, caller);
  here.inside = OUTSIDE;
  return block;
}

static APART void* forwarded_malloc(size_t size, const void* caller) {
  void* block = common.real.malloc(size);
  if (LIKELY(block != NULL)) return block;
  RECORDED(, block, put_block(here.state, MEMTOOL_ALLOCATE, false, block, size, 0, caller));
  return block;
}

/* The functions of C that most events are of do without has_functions(): a thread with a state has them. Within a
 * recorded call of C++ they only pass the call on, unless it is refused. */
EXPORT void* malloc(size_t size) {
  if (here.inside == FORWARDING && LIKELY(common.is_ready)) return forwarded_malloc(size, CALLER);
  struct state* const state = here.state;
  if (LIKELY(here.inside == OUTSIDE && state != NULL)) return recorded_malloc(size, CALLER, state);
  return first_malloc(size, CALLER);
}

#define FREED(BLOCK, CALL)                                        \
  do {                                                            \
    if (UNLIKELY(is_of_arena(BLOCK) || !has_functions())) return; \
    if (UNLIKELY(here.inside != OUTSIDE || (BLOCK) == NULL)) {    \
      CALL;                                                       \
      if ((BLOCK) != NULL) miss();                                \
    } else {                                                      \
      here.inside = RECORDING;                                    \
      put_free(here.state, false, BLOCK);                         \
      CALL;                                                       \
      here.inside = OUTSIDE;                                      \
    }                                                             \
  } while (0)

static COLD void first_free(void* block) {
  FREED(block, common.real.free(block));
}

static APART void recorded_free(void* block, struct state* state) {
  here.inside = RECORDING;
  put_free(state, false, block);
  common.real.free(block);
  here.inside = OUTSIDE;
}

EXPORT void free(void* block) {
  if (UNLIKELY(is_of_arena(block))) return;
  if (here.inside == FORWARDING && LIKELY(common.is_ready)) return common.real.free(block);
  struct state* const state = here.state;
  if (LIKELY(here.inside == OUTSIDE && state != NULL && block != NULL)) return recorded_free(block, state);
  first_free(block);
}

EXPORT void free_sized(void* block, size_t size) {
  FREED(block, common.real.free_sized != NULL ? common.real.free_sized(block, size) : common.real.free(block));
}

EXPORT void free_aligned_sized(void* block, size_t alignment, size_t size) {
  FREED(block, common.real.free_aligned_sized != NULL ? common.real.free_aligned_sized(block, alignment, size)
                                                      : common.real.free(block));
}

EXPORT void* calloc(size_t count, size_t size) {
  size_t bytes = 0;
  const bool overflows = __builtin_mul_overflow(count, size, &bytes);
  if (UNLIKELY(!has_functions())) return overflows ? NULL : from_arena(bytes, 16);
  void* block;
  RECORDED(block = common.real.calloc(count, size), block,
           put_block(here.state, MEMTOOL_ZEROED, false, block, bytes, 0, CALLER));
  return block;
}

static void* out_of_arena(void* block, size_t size) {
  void* fresh = common.real.malloc(size);
  const size_t old = size_in_arena(block);
  if (fresh != NULL) memcpy(fresh, block, old < size ? old : size);
  return fresh;
}

/* `is_overflow`: the product of the requested sizes overflows. */
static void* resize(void* block, size_t bytes, bool is_overflow, const void* caller) {
  if (UNLIKELY(is_overflow)) return errno = ENOMEM, NULL;
  if (UNLIKELY(!has_functions())) {
    void* fresh = from_arena(bytes, 16);
    if (fresh != NULL && block != NULL) memcpy(fresh, block, size_in_arena(block));
    return fresh;
  }
  void* fresh;
  if (UNLIKELY(is_of_arena(block))) {
    RECORDED(fresh = out_of_arena(block, bytes), fresh,
             put_block(here.state, MEMTOOL_ALLOCATE, false, fresh, bytes, 0, caller));
    return fresh;
  }
  if (UNLIKELY(here.inside != OUTSIDE)) {
    miss();
    return common.real.realloc(block, bytes);
  }
  here.inside = RECORDING;
  struct state* state = state_with_room();
  uintptr_t site = (uintptr_t)caller;
  if (UNLIKELY(depth > 1) && state != NULL && block != NULL) {
    site = (uintptr_t)put_stack(state, site);
    if (site == 0) state = NULL;
  }
  const uint64_t before = state == NULL ? 0 : ticks_now();
  const bool was_large = state != NULL && block != NULL && take_large((uintptr_t)block) != 0;
  fresh = common.real.realloc(block, bytes);
  if (state != NULL && block != NULL) {
    const uint64_t after = clock_of_events == SPARSE_COUNTER ? before : ticks_now();
    const uintptr_t old = (uintptr_t)block;
    if (fresh != NULL)
      put_reallocation(state, old, before, (uintptr_t)fresh, bytes, site, after);
    else if (bytes == 0)
      put_freed(state, old, before); /* glibc frees; other libraries return a block for size 0 */
    else
      put_refused(state, bytes, site, after);
    if (fresh == NULL && was_large && bytes != 0) note_large((uintptr_t)block, LARGE);
  } else if (block == NULL) {
    put_block(here.state, MEMTOOL_ALLOCATE, false, fresh, bytes, 0, caller);
  }
  here.inside = OUTSIDE;
  return fresh;
}

EXPORT void* realloc(void* block, size_t size) {
  return resize(block, size, false, CALLER);
}

EXPORT void* reallocarray(void* block, size_t count, size_t size) {
  size_t bytes;
  const bool is_overflow = __builtin_mul_overflow(count, size, &bytes);
  return resize(block, bytes, is_overflow, CALLER);
}

EXPORT int posix_memalign(void** to, size_t alignment, size_t size) {
  if (UNLIKELY(!has_functions())) return (*to = from_arena(size, alignment)) == NULL ? ENOMEM : 0;
  int problem;
  RECORDED(problem = common.real.posix_memalign(to, alignment, size), problem == 0 ? *to : NULL,
           put_block(here.state, MEMTOOL_ALIGNED, false, problem == 0 ? *to : NULL, size, alignment, CALLER));
  return problem;
}

EXPORT void* aligned_alloc(size_t alignment, size_t size) {
  if (UNLIKELY(!has_functions())) return from_arena(size, alignment);
  void* block;
  RECORDED(block = common.real.aligned_alloc(alignment, size), block,
           put_block(here.state, MEMTOOL_ALIGNED, false, block, size, alignment, CALLER));
  return block;
}

EXPORT void* memalign(size_t alignment, size_t size) {
  if (UNLIKELY(!has_functions())) return from_arena(size, alignment);
  void* block;
  RECORDED(block = common.real.memalign(alignment, size), block,
           put_block(here.state, MEMTOOL_ALIGNED, false, block, size, alignment, CALLER));
  return block;
}

EXPORT void* valloc(size_t size) {
  if (UNLIKELY(!has_functions())) return from_arena(size, PAGE);
  void* block;
  RECORDED(block = common.real.valloc(size), block,
           put_block(here.state, MEMTOOL_ALIGNED, false, block, size, PAGE, CALLER));
  return block;
}

EXPORT void* pvalloc(size_t size) {
  const size_t whole = (size + PAGE - 1) & ~(size_t)(PAGE - 1);
  if (UNLIKELY(!has_functions())) return from_arena(whole, PAGE);
  void* block;
  RECORDED(block = common.real.pvalloc(size), block,
           put_block(here.state, MEMTOOL_ALIGNED, false, block, whole, PAGE, CALLER));
  return block;
}

EXPORT size_t malloc_usable_size(void* block) {
  if (block == NULL) return 0;
  if (is_of_arena(block)) return size_in_arena(block);
  return has_functions() && common.real.malloc_usable_size != NULL ? common.real.malloc_usable_size(block) : 0;
}

/* Always a system call, because dlsym itself may call mmap. */
EXPORT void* mmap(void* wish, size_t bytes, int protection, int flags, int file, off_t offset) {
  void* memory = (void*)syscall(SYS_mmap, wish, bytes, protection, flags, file, offset);
  if (memory != MAP_FAILED && (flags & MAP_ANONYMOUS) != 0) put_mapping(MEMTOOL_MAP, (uintptr_t)memory, bytes);
  return memory;
}

EXPORT void* mmap64(void* wish, size_t bytes, int protection, int flags, int file, off_t offset) {
  return mmap(wish, bytes, protection, flags, file, offset);
}

EXPORT int munmap(void* memory, size_t bytes) {
  put_mapping(MEMTOOL_UNMAP, (uintptr_t)memory, bytes);
  return (int)syscall(SYS_munmap, memory, bytes);
}

EXPORT void* mremap(void* memory, size_t bytes, size_t new_bytes, int flags, ...) {
  void* wish = NULL;
  if ((flags & MREMAP_FIXED) != 0) {
    va_list more;
    va_start(more, flags);
    wish = va_arg(more, void*);
    va_end(more);
  }
  void* moved = (void*)syscall(SYS_mremap, memory, bytes, new_bytes, flags, wish);
  if (moved != MAP_FAILED) {
    put_mapping(MEMTOOL_UNMAP, (uintptr_t)memory, bytes);
    put_mapping(MEMTOOL_MAP, (uintptr_t)moved, new_bytes);
  }
  return moved;
}

/* The function that a thread is to run, and its number, in a page of its own. */
struct begun {
  void* (*run)(void*);
  void* argument;
  uint32_t thread;
};

static void* run_thread(void* page) {
  const struct begun begun = *(struct begun*)page;
  syscall(SYS_munmap, page, (size_t)PAGE);
  begin_thread(begun.thread);
  return begun.run(begun.argument);
}

EXPORT int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*), void* argument) {
  if (!has_functions() || common.real.pthread_create == NULL) return EAGAIN;
  struct begun* begun = MAP_FAILED;
  if (here.inside == OUTSIDE && !process->is_without)
    begun = (struct begun*)syscall(SYS_mmap, NULL, (size_t)PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                                   -1, 0);
  if (begun == MAP_FAILED) return common.real.pthread_create(thread, attributes, run, argument);
  expect_threads();
  *begun = (struct begun){.run = run, .argument = argument, .thread = next_thread()};
  put_number(MEMTOOL_STARTS, begun->thread);
  const int problem = common.real.pthread_create(thread, attributes, run_thread, begun);
  if (problem != 0) syscall(SYS_munmap, begun, (size_t)PAGE);
  return problem;
}
