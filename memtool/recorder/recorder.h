/* The path of an event: hooks.c and hooks_cpp.c use it to write records into the buffer of their thread.
 *
 * The path allocates nothing, takes no lock, makes no system call and preserves errno: it reads the time stamp counter
 * and writes some bytes into a shared mapping of the process's file (format.h). A thread needs the kernel only when its
 * buffer is full (recorder.c).
 *
 * The kernel wipes the memory to which a forked child must not write (MADV_WIPEONFORK), however the child was created.
 * So the threads of the child find no buffer, and open a file of the child's own. A child of vfork shares our memory
 * and our heap, so its events correctly belong to the thread that waits for it.
 */
#ifndef MEMTOOL_RECORDER_RECORDER_H
#define MEMTOOL_RECORDER_RECORDER_H

#include <errno.h>
#include <pthread.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "recorder/format.h"

/* Symbols that are not exported are private, and can be reached without a table of addresses. */
#pragma GCC visibility push(hidden)

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define COLD __attribute__((noinline, cold))
#define APART __attribute__((noinline))
#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))
#define CALLER __builtin_return_address(0)
/* The data that every event reads lies together, in few cache lines and one page. */
#define TOGETHER __attribute__((section(".data.together")))

enum {
  MOST_RECORD = MEMTOOL_MOST_RECORD,
  WORD = sizeof(uint64_t),
  MOST_STACK = WORD * (2 + MEMTOOL_MOST_DEPTH), /* bytes of the longest record of a stack */
  LARGE = 32 * 1024,                            /* bytes of a block whose resident pages are counted when it is freed */
  LARGE_PLACES = 1 << 14,                       /* a live large block is noted in one of these, by its address */
  LARGE_ANY = 255,                              /* noted where several large blocks share a place */
  PAGE = 4096,
  CACHE_LINE = 64,
  EVENTS_A_READING = 4,
};

/* The state of a thread, in memory that a forked child finds zeroed. */
struct state {
  alignas(CACHE_LINE) uint8_t* cursor; /* an event of small distances needs this line and one of the callers' */
  uint8_t* end;
  uint64_t ticks;    /* of the previous record */
  unsigned events;   /* one in EVENTS_A_READING reads the counter, while the process has one thread */
  uintptr_t address; /* of the previous record */
  uint32_t thread;
  uint32_t kernel_thread;
  uint8_t* chunk; /* NULL: there is none yet */
  uint64_t chunk_bytes;
  bool is_walking;    /* the stack is being walked */
  struct state* next; /* in the list of states without a thread */
  uint64_t* stacks;   /* numbers of the stacks in this chunk, by hash; NULL: none so far */
  uintptr_t callers[MEMTOOL_CALLERS];
};

/* The state of the process. A fork wipes it in the child, like the states of the threads. */
struct process {
  struct memtool_recording* file;
  struct state* left; /* states of threads that have ended or are ending */
  uint8_t* slab;      /* memory for new states */
  uint8_t* slab_end;
  uint32_t threads; /* numbers given to threads; atomic */
  int lock;
  bool is_without;   /* nothing can be recorded here */
  bool is_in_memory; /* the file lies in the folder in memory */
};

/* The allocator that the program would have without the recorder. */
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

/* What every event of every thread reads, in one cache line. */
struct common {
  bool is_ready;        /* the functions have been looked up */
  bool is_unusual;      /* a slow clock, call stacks, or nothing is recorded: events take the slow path */
  unsigned unread_mask; /* an event whose number has one of these bits set takes the time of its predecessor */
  struct functions real;
};

/* The source of an event's time stamp. */
enum clock_of {
  SPARSE_COUNTER = 0, /* at every fourth event: one thread is in order anyway, and a reading takes 9 ns */
  COUNTER = 1,
  STRICT_COUNTER = 2, /* waits for earlier instructions, and keeps later ones out */
  MONOTONIC = 3       /* the kernel's clock, in nanoseconds */
};

/* What a thread is doing. */
enum inside {
  OUTSIDE = 0,
  RECORDING = 1, /* in a recorded call, or recording it; further calls are missed */
  FORWARDING = 2 /* in a recorded call of C++, whose calls of C functions are not events */
};

/* What a thread has of its own: one place, so that its address is computed once for an event. */
struct here {
  struct state* state;
  enum inside inside;
  uint64_t forked_at; /* ticks of the record of the current fork; 0: there is none */
};

struct settings {
  char folder[4000];
  char memory[256]; /* a folder in memory; empty: there is none */
  bool leaves_out_children;
  pthread_key_t at_thread_end;
};

extern struct common common;
extern __thread struct here here INITIAL_EXEC;
extern struct settings settings;
extern struct process* process; /* the address never changes; a fork wipes the contents */
extern bool is_off;
extern enum clock_of clock_of_events;
extern unsigned depth; /* return addresses of a call stack; 1: only the call site */
extern uint8_t large_blocks[LARGE_PLACES];
extern bool is_beside_threads; /* the process had several threads at its last fork */

bool prepare(void);
uint64_t slow_ticks(void);
/* Called after a change of the clock, of the depth, or of whether recording is off. */
void settle(void);
void miss(void);
void leave_state(struct state* state);
/* Reads at most `bytes` bytes of a file, followed by a 0. */
void read_file(const char* path, char* to, size_t bytes);
/* Writes the kernel's list of mappings beside the recording, so that return addresses can be given names. */
void write_maps(void);
/* Called by a starting thread, with the number that its creator has drawn for it. */
void begin_thread(uint32_t thread);
/* From now on events of several threads must be put in order. */
void expect_threads(void);
uint32_t next_thread(void);

/* Whether the functions have been looked up; false during the look-up. */
ALWAYS_INLINE bool has_functions(void) {
  return LIKELY(common.is_ready) || prepare();
}

ALWAYS_INLINE uint64_t read_counter(void) {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
  uint64_t ticks;
  __asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
  return ticks;
#endif
}

ALWAYS_INLINE uint64_t ticks_now(void) {
  return UNLIKELY(clock_of_events > COUNTER) ? slow_ticks() : read_counter();
}

/* Whether the next event of the fast path reads the counter. The slow path always does: it also serves events after a
 * pause that is too long for a word. */
ALWAYS_INLINE bool reads_counter(struct state* state) {
  return (++state->events & common.unread_mask) == 0;
}

/* Provides a state with room for a record. Returns NULL if nothing is recorded here. */
struct state* make_room(void);

/* Returns the state of this thread if an event can be recorded now. The calling thread must not be OUTSIDE. */
ALWAYS_INLINE struct state* state_with_room(void) {
  struct state* state = here.state;
  if (UNLIKELY(is_off)) return NULL;
  if (LIKELY(state != NULL && state->cursor < state->end)) return state;
  return make_room();
}

/* The slow path of each record (records.c): values that do not fit into a word, rare events and unusual settings. */
void put_any_block(unsigned kind, uintptr_t address, size_t size, size_t alignment, uintptr_t caller);
void put_any_free(unsigned kind, uintptr_t address);
void put_refused(struct state* state, size_t size, uintptr_t site, uint64_t ticks);
void put_freed(struct state* state, uintptr_t address, uint64_t ticks);
void put_reallocation(struct state* state, uintptr_t old, uint64_t before, uintptr_t fresh, size_t size, uintptr_t site,
                      uint64_t after);
/* Notes a block if it is large. */
void note_large(uintptr_t address, size_t size);
/* Called before a block is freed or resized, because its address may then become another one's: removes the note.
 * Returns the bytes of the block, or 0 if it is none of those that were noted. */
size_t take_large(uintptr_t address);
void put_thread(struct state* state);
void put_frames(struct state* state, uint64_t number, enum memtool_stack_end end, const uintptr_t* frames,
                unsigned count);
/* find_unwinder() looks for libunwind; distrust_unwinder() forbids its further use. */
void find_unwinder(void);
void distrust_unwinder(void);
bool has_fast_unwinder(void);
/* Returns the number of the call stack from a call site on, and writes its return addresses unless the chunk already
 * has them; 0: there is no room for the record that follows. */
uint64_t put_stack(struct state* state, uintptr_t site);
/* Called for a new chunk, and for a state that is given up. */
void forget_stacks(struct state* state);
void leave_stacks(struct state* state);
/* Returns the ticks of the record; 0: nothing is recorded here. */
uint64_t put_moment(enum memtool_moment moment);
/* Writes a record with a number. `put_mapping` writes one with an address and a length. */
void put_number(enum memtool_record kind, uint64_t number);
void put_mapping(enum memtool_record kind, uintptr_t address, uint64_t bytes);

/* Two large blocks cannot begin in the same 32 KiB. The note says which of the blocks there is the large one, so that
 * frees of its small neighbours stay on the fast path. */
ALWAYS_INLINE unsigned large_place(uintptr_t address) {
  return (address / LARGE) % LARGE_PLACES;
}

ALWAYS_INLINE uint8_t large_note(uintptr_t address) {
  return (uint8_t)(1 + address / 16 % (LARGE_ANY - 1));
}

ALWAYS_INLINE bool may_be_large(uintptr_t address) {
  const uint8_t noted = large_blocks[large_place(address)];
  return UNLIKELY(noted != 0) && (noted == large_note(address) || noted == LARGE_ANY);
}

/* The distance between two addresses in units of 8 bytes, mapped to numbers from 0. A distance that does not fit into
 * `bits` bits gives a larger number. So does one that is not a multiple of 8, because the lowest bits are moved to the
 * top. */
ALWAYS_INLINE uint64_t distance(uintptr_t from, uintptr_t to, unsigned bits) {
  const uint64_t bytes = (uint64_t)to - from + (UINT64_C(1) << (bits + 2));
  return bytes >> 3 | bytes << 61;
}

ALWAYS_INLINE unsigned place_of_caller(uintptr_t caller) {
  return (unsigned)((caller * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - MEMTOOL_CALLER_BITS));
}

/* In these words the distance is signed again: its highest bit is the other way round. */
ALWAYS_INLINE uint64_t word_of_block(unsigned kind, unsigned place, size_t size, uint64_t since, uint64_t distance) {
  const uint64_t signed_distance = distance ^ UINT64_C(1) << (MEMTOOL_OUT_BITS - 1);
  return kind | (uint64_t)place << 6 | (uint64_t)size << 13 | signed_distance << 24 | since << 48;
}

ALWAYS_INLINE uint64_t word_of_free(unsigned kind, uint64_t since, uint64_t distance) {
  const uint64_t signed_distance = distance ^ UINT64_C(1) << (MEMTOOL_BACK_BITS - 1);
  return kind | signed_distance << 6 | since << 32;
}

/* Writes a word except for its first 2 bytes. As long as these are 0, a concurrent reader takes the word for the end.
 * The bytes behind a shorter word are still 0. */
ALWAYS_INLINE void put_rest(uint8_t* to, uint64_t word) {
  const uint64_t rest = word & ~UINT64_C(0xffff);
  memcpy(to, &rest, sizeof rest);
}

ALWAYS_INLINE void put_head(uint8_t* to, uint64_t word) {
  __atomic_store_n((uint16_t*)(void*)to, (uint16_t)word, __ATOMIC_RELEASE);
}

ALWAYS_INLINE void put_word(struct state* state, uint64_t word, size_t bytes, uintptr_t address) {
  uint8_t* const cursor = state->cursor;
  state->address = address;
  put_rest(cursor, word);
  put_head(cursor, word);
  state->cursor = cursor + bytes;
}

/* Puts a word of so many bytes, followed by the ticks if this event reads the counter. Returns whether they fit. The
 * counters of two processors may differ slightly when a thread moves: a negative difference becomes a large number. */
ALWAYS_INLINE bool put_timed_word(struct state* state, uint64_t word, size_t bytes, uintptr_t address) {
  if (LIKELY(!reads_counter(state))) {
    put_word(state, word, bytes, address);
    return true;
  }
  const uint64_t ticks = read_counter(), since = ticks - state->ticks;
  if (UNLIKELY(since >> MEMTOOL_TICKS_BITS != 0)) return false;
  state->ticks = ticks;
  put_word(state, word | MEMTOOL_TIMED | since << (8 * bytes), bytes + MEMTOOL_TICKS_BITS / 8, address);
  return true;
}

/* Whether the next event of a thread may take the fast path. */
ALWAYS_INLINE bool is_short(const struct state* state) {
  return LIKELY(!common.is_unusual && state != NULL && state->cursor < state->end);
}

/* Records an allocated block. `state`: that of the thread; NULL: it has none yet. */
ALWAYS_INLINE void put_block(struct state* state, unsigned kind, bool is_cpp, void* block, size_t size,
                             size_t alignment, const void* caller) {
  const uintptr_t address = (uintptr_t)block, site = (uintptr_t)caller;
  if (is_cpp) kind |= MEMTOOL_CPP;
  if (LIKELY(is_short(state) && alignment == 0)) {
    const uint64_t far = distance(state->address, address, MEMTOOL_OUT_BITS);
    const unsigned place = place_of_caller(site);
    const uint64_t excess =
        (uint64_t)size >> MEMTOOL_SIZE_BITS | far >> MEMTOOL_OUT_BITS | (state->callers[place] ^ site);
    if (LIKELY(excess == 0) && LIKELY(put_timed_word(state, word_of_block(kind, place, size, 0, far), 6, address)))
      return;
  }
  put_any_block(kind, address, size, alignment, site);
}

ALWAYS_INLINE void put_free(struct state* state, bool is_cpp, const void* block) {
  const uintptr_t address = (uintptr_t)block;
  const unsigned kind = MEMTOOL_FREE | (is_cpp ? MEMTOOL_CPP : 0);
  if (LIKELY(is_short(state) && !may_be_large(address))) {
    const uint64_t far = distance(state->address, address, MEMTOOL_BACK_BITS);
    if (LIKELY(far >> MEMTOOL_BACK_BITS == 0) && LIKELY(put_timed_word(state, word_of_free(kind, 0, far), 4, address)))
      return;
  }
  put_any_free(kind, address);
}

#pragma GCC visibility pop

#endif
