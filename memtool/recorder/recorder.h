/* The path of an event: what hooks.c and hooks_cpp.c write into the buffer of their thread.
 *
 * It allocates nothing, takes no lock, makes no system call and keeps errno: it reads the time stamp counter and writes
 * some bytes into a shared mapping of the process's file (format.h). A thread needs the kernel only when its buffer is
 * full (recorder.c).
 *
 * What a forked child must not write to is wiped by the kernel (MADV_WIPEONFORK), however the child came to be: its
 * threads find themselves without a buffer, and open a file of the child's own. A child of vfork shares our memory and
 * our heap, so its events are rightly those of the thread that waits for it.
 */
#ifndef MEMTOOL_RECORDER_RECORDER_H
#define MEMTOOL_RECORDER_RECORDER_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "recorder/format.h"

/* What is not exported is ours alone, and needs no table of addresses to be reached. */
#pragma GCC visibility push(hidden)

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define COLD __attribute__((noinline, cold))
#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#define CALLER __builtin_return_address(0)

enum {
  MOST_RECORD = MEMTOOL_MOST_RECORD,
  MOST_STACK = 32 + 6 * MEMTOOL_MOST_DEPTH, /* bytes of the longest record of a stack */
  LARGE = 32 * 1024,                        /* bytes of a block whose resident pages are counted when it is freed */
  LARGE_BITS = 16,                          /* log2 of the bits that tell which frees may be of a large block */
  PAGE = 4096,
  EVENTS_A_READING = 4,
};

/* A thread's own, in memory that a forked child finds zeroed. */
struct state {
  uint8_t* cursor;
  uint8_t* end;
  uint64_t ticks;    /* of the record before */
  unsigned unread;   /* events, of which one in EVENTS_A_READING reads the counter */
  uintptr_t address; /* of the record before */
  uint32_t thread;
  uint32_t kernel_thread;
  uint8_t* chunk; /* NULL: it has none yet */
  uint64_t chunk_bytes;
  bool is_walking;    /* the stack is being walked */
  struct state* next; /* of those that have been left */
  uint64_t* stacks;   /* numbers of those that the chunk has said, each at its place; NULL: none so far */
  uintptr_t callers[MEMTOOL_CALLERS];
};

/* The process's own, wiped in a forked child like the states. */
struct process {
  struct memtool_recording* file;
  struct state* left; /* of threads that have ended, or are about to */
  uint8_t* slab;      /* what new states are taken from */
  uint8_t* slab_end;
  uint32_t threads; /* numbers given to threads; atomic */
  int lock;
  bool is_without; /* nothing can be recorded here */
  uint64_t large[(1u << LARGE_BITS) / 64];
};

/* The allocator that the program would have without us. */
struct functions {
  void* (*malloc)(size_t);
  void (*free)(void*);
  void* (*calloc)(size_t, size_t);
  void* (*realloc)(void*, size_t);
  int (*posix_memalign)(void**, size_t, size_t);
  void* (*aligned_alloc)(size_t, size_t);
  void* (*memalign)(size_t, size_t);
  void* (*valloc)(size_t);
  void* (*pvalloc)(size_t);
  void (*free_sized)(void*, size_t);
  void (*free_aligned_sized)(void*, size_t, size_t);
  size_t (*malloc_usable_size)(void*);
  int (*pthread_create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
};

/* What stamps an event. */
enum clock_of {
  SPARSE_COUNTER = 0, /* at every fourth event: those of one thread are in order anyway, and a reading takes 9 ns */
  COUNTER = 1,
  STRICT_COUNTER = 2, /* waits for what is before it, and keeps out what comes after it */
  MONOTONIC = 3       /* of the kernel, in nanoseconds */
};

/* What a thread is at. */
enum inside {
  OUTSIDE = 0,
  RECORDING = 1, /* in a recorded call, or in its record: what calls us then is missed */
  FORWARDING = 2 /* in a call of C++ that is recorded: that it calls those of C is no event */
};

struct settings {
  char folder[4000];
  bool leaves_out_children;
  pthread_key_t at_thread_end;
};

extern struct functions real;
extern struct settings settings;
extern struct process* process; /* the same address for good; its content is wiped by a fork */
extern bool is_ready;           /* the functions are there */
extern bool is_off;
extern enum clock_of clock_of_events;
extern unsigned depth; /* return addresses of a call stack; 1: the call site alone */
extern __thread struct state* mine INITIAL_EXEC;
extern __thread enum inside is_inside INITIAL_EXEC;
extern __thread uint64_t forked_at INITIAL_EXEC; /* ticks of the record of the fork that is under way; 0: none is */
extern bool is_beside_threads;                   /* the process had several threads when it forked at last */

bool prepare(void);
uint64_t slow_ticks(void);
void miss(void);
void leave_state(struct state* state);
/* At most so many bytes of a file, with a 0 after them. */
void read_file(const char* path, char* to, size_t bytes);
/* What is mapped where, so that return addresses have names: beside the recording, as the kernel says it. */
void write_maps(void);
/* Of a thread that is starting, by the number that its creator has drawn for it. */
void begin_thread(uint32_t thread);
/* From now on events of several threads must be put in order. */
void expect_threads(void);
uint32_t next_thread(void);

/* Whether the functions are there; while they are being looked up they are not. */
ALWAYS_INLINE bool has_functions(void) {
  return LIKELY(is_ready) || prepare();
}

ALWAYS_INLINE uint64_t ticks_now(void) {
  if (UNLIKELY(clock_of_events > COUNTER)) return slow_ticks();
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

/* What an event of a thread is stamped with. */
ALWAYS_INLINE uint64_t stamp(struct state* state) {
  if (LIKELY(clock_of_events == SPARSE_COUNTER && ++state->unread % EVENTS_A_READING != 0)) return state->ticks;
  return ticks_now();
}

/* A record that is being written: `to` is where its next byte goes. It never leaves the registers. */
struct record {
  struct state* state;
  uint8_t* to;
  uint8_t first;
};

/* Sees to a state with room for a record; NULL: nothing is recorded here. */
struct state* make_room(void);

/* The state of this thread, if an event can be recorded now; who asks is not OUTSIDE. */
ALWAYS_INLINE struct state* state_with_room(void) {
  struct state* state = mine;
  if (UNLIKELY(is_off)) return NULL;
  if (LIKELY(state != NULL && state->end - state->cursor > MOST_RECORD)) return state;
  return make_room();
}

ALWAYS_INLINE uint8_t* put_varint(uint8_t* to, uint64_t value) {
  while (value >= 0x80) {
    *to++ = (uint8_t)(value | 0x80);
    value >>= 7;
  }
  *to++ = (uint8_t)value;
  return to;
}

ALWAYS_INLINE struct record begin(struct state* state, unsigned kind, bool is_cpp, uint64_t ticks) {
  /* Counters of two processors may differ by a little where a thread moves. */
  const uint64_t since = ticks > state->ticks ? ticks - state->ticks : 0;
  state->ticks += since;
  const uint64_t head = since << MEMTOOL_KIND_BITS | (uint64_t)is_cpp << 4 | kind;
  struct record record = {state, state->cursor + 1, (uint8_t)(head & 0x7f)};
  if (head >= 0x80) {
    record.first |= 0x80;
    record.to = put_varint(record.to, head >> 7);
  }
  return record;
}

/* Makes the record readable: whoever sees its first byte sees all of it. */
ALWAYS_INLINE void end(struct record* record) {
  __atomic_store_n(record->state->cursor, record->first, __ATOMIC_RELEASE);
  record->state->cursor = record->to;
}

ALWAYS_INLINE void put_address(struct record* record, uintptr_t address) {
  const int64_t units = (int64_t)(address >> 3) - (int64_t)(record->state->address >> 3);
  record->state->address = address;
  record->to = put_varint(record->to, (uint64_t)units << 1 ^ (uint64_t)(units >> 63));
}

ALWAYS_INLINE void put_caller(struct record* record, uintptr_t caller) {
  const unsigned place = (unsigned)((caller * UINT64_C(0x9e3779b97f4a7c15)) >> 57);
  uintptr_t* const known = &record->state->callers[place];
  if (LIKELY(*known == caller)) {
    *record->to++ = (uint8_t)place;
    return;
  }
  *known = caller;
  *record->to++ = (uint8_t)(MEMTOOL_CALLERS + place);
  const uint64_t address = caller;
  memcpy(record->to, &address, 6);
  record->to += 6;
}

void put_low_bits(struct state* state, uintptr_t address);
void put_resident(struct state* state, uintptr_t address, uint64_t ticks);
void note_large(uintptr_t address);
/* Looks for libunwind; from then on it may not be used any more. */
void find_unwinder(void);
void distrust_unwinder(void);
bool has_fast_unwinder(void);
/* Returns the number of the call stack from a call site on, and says which return addresses it has, unless the chunk
 * has said so; 0: there is no room for what follows. */
uint64_t put_stack(struct state* state, uintptr_t site);
/* Of a chunk that begins, and of a state that is no more. */
void forget_stacks(struct state* state);
void leave_stacks(struct state* state);
/* Returns the ticks of the record; 0: nothing is recorded here. */
uint64_t put_moment(enum memtool_moment moment);
/* A record with a number; `put_mapping` with an address and a length. */
void put_number(enum memtool_record kind, uint64_t number);
void put_mapping(enum memtool_record kind, uintptr_t address, uint64_t bytes);

/* Small blocks that lie together have one bit, which is in the cache then. */
ALWAYS_INLINE unsigned large_bit(uintptr_t address) {
  return (address / LARGE) % (1u << LARGE_BITS);
}

/* The record of a block that is handed out. */
ALWAYS_INLINE void put_block(unsigned kind, bool is_cpp, void* block, size_t size, size_t alignment,
                             const void* caller) {
  struct state* const state = state_with_room();
  if (UNLIKELY(state == NULL)) return;
  const uint64_t ticks = stamp(state);
  const uintptr_t address = (uintptr_t)block;
  uintptr_t site = (uintptr_t)caller;
  if (UNLIKELY(depth > 1)) {
    site = (uintptr_t)put_stack(state, site);
    if (site == 0) return;
  }
  struct record record;
  if (UNLIKELY(block == NULL)) {
    record = begin(state, MEMTOOL_REFUSED, is_cpp, ticks);
    record.to = put_varint(record.to, size);
  } else {
    if (UNLIKELY((address & 7) != 0)) put_low_bits(state, address);
    if (UNLIKELY(size >= LARGE)) note_large(address);
    record = begin(state, kind, is_cpp, ticks);
    if (kind == MEMTOOL_ALIGNED) *record.to++ = (uint8_t)__builtin_ctzll(alignment | UINT64_C(1) << 63);
    record.to = put_varint(record.to, size);
    put_address(&record, address);
  }
  put_caller(&record, site);
  end(&record);
}

ALWAYS_INLINE void put_free(bool is_cpp, const void* block) {
  struct state* const state = state_with_room();
  if (UNLIKELY(state == NULL)) return;
  const uint64_t ticks = stamp(state);
  const uintptr_t address = (uintptr_t)block;
  const unsigned bit = large_bit(address);
  if (UNLIKELY(process->large[bit / 64] >> bit % 64 & 1)) put_resident(state, address, ticks);
  if (UNLIKELY((address & 7) != 0)) put_low_bits(state, address);
  struct record record = begin(state, MEMTOOL_FREE, is_cpp, ticks);
  put_address(&record, address);
  end(&record);
}

#pragma GCC visibility pop

#endif
