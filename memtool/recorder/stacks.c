/* Walks call stacks by the tables that compilers write for exceptions (.eh_frame), so a program needs no frame
 * pointers.
 *
 * libunwind caches the table entries of each address, and takes 5 ns for each return address. If it is installed,
 * it tells which stack this is. libgcc, at 200 ns for each return address, walks a new stack once, and knows whether it
 * reached the end or code without a table. libgcc takes no lock and requests no memory. So it does all the work in a
 * child that was forked beside other threads, because one of them may have held a lock of libunwind. Both trust the
 * tables, as every exception does.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#include "recorder/recorder.h"

enum {
  PLACES_BITS = 13,
  PLACES = 1 << PLACES_BITS, /* of numbers that a chunk already has; a stack that finds another one at its place is
                                written again */
  OWN_FRAMES = 6,            /* the recorder's frames above the call site; if there are more, the walk has gone wrong */
};

struct walk {
  uintptr_t caller;
  unsigned own;
  unsigned count;
  enum memtool_stack_end end;
  uintptr_t frames[MEMTOOL_MOST_DEPTH + OWN_FRAMES];
};

static int (*remembers)(void**, int); /* unw_backtrace; NULL: it must not be used here */

void find_unwinder(void) {
  void* library = dlopen("libunwind.so.8", RTLD_NOW | RTLD_LOCAL);
  if (library != NULL) *(void**)&remembers = dlsym(library, "unw_backtrace");
}

void distrust_unwinder(void) {
  remembers = NULL;
}

bool has_fast_unwinder(void) {
  return remembers != NULL;
}

static _Unwind_Reason_Code step(struct _Unwind_Context* context, void* data) {
  struct walk* walk = data;
  const uintptr_t at = _Unwind_GetIP(context);
  if (walk->count == 0 && at != walk->caller) return ++walk->own < OWN_FRAMES ? _URC_NO_REASON : _URC_END_OF_STACK;
  if (at == 0) {
    walk->end = MEMTOOL_WHOLE;
    return _URC_END_OF_STACK;
  }
  walk->frames[walk->count++] = at;
  if (walk->count < depth) return _URC_NO_REASON;
  walk->end = MEMTOOL_DEEPER;
  return _URC_END_OF_STACK;
}

static void walk_by_libgcc(struct walk* walk) {
  walk->own = 0;
  walk->end = MEMTOOL_CUT;
  _Unwind_Backtrace(step, walk);
}

static void walk_by_libunwind(struct walk* walk) {
  const int got = remembers((void**)walk->frames, (int)depth + OWN_FRAMES);
  const unsigned all = got > 0 ? (unsigned)got : 0;
  unsigned own = 0;
  while (own < all && own < OWN_FRAMES && walk->frames[own] != walk->caller) ++own;
  if (own == all || own == OWN_FRAMES) return walk_by_libgcc(walk);
  walk->count = all - own < depth ? all - own : depth;
  walk->end = walk->count == depth ? MEMTOOL_DEEPER : MEMTOOL_WHOLE; /* as far as the walk can tell */
  memmove(walk->frames, walk->frames + own, walk->count * sizeof *walk->frames);
}

/* 47 bits, never 0. Equal stacks have equal numbers, in all threads and in the children of a process. */
static uint64_t number_of(const struct walk* walk) {
  uint64_t mixed = 0;
  for (unsigned i = 0; i < walk->count; ++i) {
    mixed = (mixed ^ walk->frames[i]) * UINT64_C(0x9e3779b97f4a7c15);
    mixed ^= mixed >> 32;
  }
  return mixed >> 17 | 1;
}

static unsigned place_of(uint64_t number) {
  return (unsigned)(number >> 1) & (PLACES - 1);
}

static void* map_places(void) {
  void* memory = (void*)syscall(SYS_mmap, NULL, (size_t)PLACES * sizeof(uint64_t), PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  syscall(SYS_madvise, memory, (size_t)PLACES * sizeof(uint64_t), MADV_DONTFORK);
  return memory;
}

void forget_stacks(struct state* state) {
  if (state->stacks != NULL) memset(state->stacks, 0, (size_t)PLACES * sizeof(uint64_t));
}

void leave_stacks(struct state* state) {
  if (state->stacks != NULL) syscall(SYS_munmap, state->stacks, (size_t)PLACES * sizeof(uint64_t));
  state->stacks = NULL;
}

static bool is_said(const struct state* state, uint64_t number) {
  return state->stacks != NULL && state->stacks[place_of(number)] == number;
}

/* Requests of the walk itself, or of a signal handler meanwhile, are recorded with their call site only. */
static void take(void (*how)(struct walk*), struct state* state, struct walk* walk) {
  const int problem = errno;
  const enum inside was_inside = here.inside;
  state->is_walking = true;
  here.inside = OUTSIDE;
  walk->count = 0;
  how(walk);
  if (walk->count == 0) walk->frames[walk->count++] = walk->caller;
  here.inside = was_inside;
  state->is_walking = false;
  errno = problem;
}

COLD uint64_t put_stack(struct state* state, uintptr_t site) {
  struct walk walk;
  walk.caller = walk.frames[0] = site;
  walk.count = 1;
  walk.end = MEMTOOL_DEEPER;
  const bool is_walking = state->is_walking;
  if (!is_walking) take(remembers != NULL ? walk_by_libunwind : walk_by_libgcc, state, &walk);
  const uint64_t number = number_of(&walk);
  if (!is_said(state, number) && remembers != NULL && !is_walking) take(walk_by_libgcc, state, &walk);
  if (state_with_room() != state) return 0;
  if (is_said(state, number)) return number;
  if (state->stacks == NULL) state->stacks = map_places();
  if (state->stacks != NULL) state->stacks[place_of(number)] = number;
  put_frames(state, number, walk.end, walk.frames, walk.count);
  return number;
}
