/* The rare records: values that do not fit into a word, and events other than allocations and frees. */
#define _GNU_SOURCE
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/recorder.h"

/* A sequence of words. The first one must not become visible before the others are written. */
struct words {
  struct state* state;
  uint64_t first;
  uint8_t* to;
};

static struct words begin(struct state* state) {
  return (struct words){state, 0, state->cursor};
}

static void put(struct words* words, uint64_t word, size_t bytes) {
  if (words->to == words->state->cursor) {
    words->first = word;
    put_rest(words->to, word);
  } else {
    memcpy(words->to, &word, sizeof word);
  }
  words->to += bytes;
}

static void put_field(struct words* words, unsigned kind, uint64_t value) {
  put(words, kind | value << MEMTOOL_HEAD_BITS, WORD);
}

/* Makes the record readable. A reader that sees its first word sees all of it. */
static void end(struct words* words) {
  put_head(words->state->cursor, words->first);
  words->state->cursor = words->to;
}

/* Returns the ticks for the next word, and writes the part that does not fit into it. */
static uint64_t since(struct words* words, uint64_t ticks) {
  struct state* const state = words->state;
  const uint64_t all = ticks > state->ticks ? ticks - state->ticks : 0;
  state->ticks += all;
  if (all >> MEMTOOL_TICKS_BITS == 0) return all;
  put_field(words, MEMTOOL_WIDE_TICKS, all);
  return 0;
}

static unsigned timed(uint64_t ticks) {
  return ticks == 0 ? 0 : MEMTOOL_TIMED;
}

static uint64_t distance_to(struct words* words, uintptr_t address, unsigned bits) {
  struct state* const state = words->state;
  uint64_t far = distance(state->address, address, bits);
  if (far >> bits != 0) {
    put_field(words, MEMTOOL_WIDE_ADDRESS, address);
    far = distance(address, address, bits);
  }
  state->address = address;
  return far;
}

static void put_handed_out(struct words* words, unsigned kind, uintptr_t address, size_t size, size_t alignment,
                           uintptr_t site, uint64_t ticks) {
  const uint64_t ticks_before = since(words, ticks);
  const unsigned place = place_of_caller(site);
  if (words->state->callers[place] != site) {
    words->state->callers[place] = site;
    put_field(words, MEMTOOL_WIDE_CALLER, place | (uint64_t)site << MEMTOOL_CALLER_BITS);
  }
  if (alignment > 1) put_field(words, MEMTOOL_ALIGNMENT, (unsigned)__builtin_ctzll(alignment));
  const uint64_t above = (uint64_t)size >> MEMTOOL_SIZE_BITS;
  if (above != 0) put_field(words, MEMTOOL_WIDE_SIZE, above);
  const uint64_t far = address == 0 ? distance(0, 0, MEMTOOL_OUT_BITS) : distance_to(words, address, MEMTOOL_OUT_BITS);
  const size_t low = size & ((1u << MEMTOOL_SIZE_BITS) - 1);
  put(words, word_of_block(kind | timed(ticks_before), place, low, ticks_before, far), ticks_before == 0 ? 6 : 8);
}

static void put_given_back(struct words* words, unsigned kind, uintptr_t address, uint64_t ticks) {
  const uint64_t ticks_before = since(words, ticks);
  const uint64_t far = distance_to(words, address, MEMTOOL_BACK_BITS);
  put(words, word_of_free(kind | timed(ticks_before), ticks_before, far), ticks_before == 0 ? 4 : 6);
}

void note_large(uintptr_t address, size_t size) {
  if (size < LARGE) return;
  uint8_t* const place = &large_blocks[large_place(address)];
  uint8_t none = 0;
  if (!__atomic_compare_exchange_n(place, &none, large_note(address), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
    __atomic_store_n(place, LARGE_ANY, __ATOMIC_RELAXED);
}

size_t take_large(uintptr_t address) {
  if (!may_be_large(address) || common.real.malloc_usable_size == NULL) return 0;
  const int problem = errno;
  const size_t bytes = common.real.malloc_usable_size((void*)address);
  errno = problem;
  if (bytes < LARGE) return 0;
  uint8_t noted = large_note(address);
  __atomic_compare_exchange_n(&large_blocks[large_place(address)], &noted, 0, false, __ATOMIC_RELAXED,
                              __ATOMIC_RELAXED);
  return bytes;
}

COLD void put_any_block(unsigned kind, uintptr_t address, size_t size, size_t alignment, uintptr_t caller) {
  struct state* const state = state_with_room();
  if (state == NULL) return;
  const uint64_t ticks = ticks_now();
  const uintptr_t site = depth > 1 ? (uintptr_t)put_stack(state, caller) : caller;
  if (site == 0 && depth > 1) return;
  struct words words = begin(state);
  if (address == 0) {
    put_handed_out(&words, MEMTOOL_REFUSED | (kind & MEMTOOL_CPP), 0, size, 0, site, ticks);
  } else {
    note_large(address, size);
    put_handed_out(&words, kind, address, size, alignment, site, ticks);
  }
  end(&words);
}

/* Records how much of a large block is resident before it is freed: the program may have touched that much. */
static void put_resident(struct state* state, uintptr_t address, size_t bytes, uint64_t ticks) {
  const int problem = errno;
  unsigned char pages[1024];
  uint64_t resident = 0;
  uintptr_t at = address & ~(uintptr_t)(PAGE - 1);
  const uintptr_t last = (address + bytes + PAGE - 1) & ~(uintptr_t)(PAGE - 1);
  while (at < last) {
    size_t count = (last - at) / PAGE;
    if (count > sizeof pages) count = sizeof pages;
    if (syscall(SYS_mincore, at, count * PAGE, pages) != 0) break;
    for (size_t i = 0; i < count; ++i) resident += pages[i] & 1u;
    at += count * PAGE;
  }
  resident *= PAGE;
  struct words words = begin(state);
  const uint64_t ticks_before = since(&words, ticks);
  if (ticks_before != 0) put_field(&words, MEMTOOL_WIDE_TICKS, ticks_before);
  put_field(&words, MEMTOOL_RESIDENT, resident < bytes ? resident : bytes);
  end(&words);
  errno = problem;
}

COLD void put_any_free(unsigned kind, uintptr_t address) {
  struct state* const state = state_with_room();
  if (state == NULL) return;
  const uint64_t ticks = ticks_now();
  const size_t bytes = take_large(address);
  if (bytes != 0) put_resident(state, address, bytes, ticks);
  struct words words = begin(state);
  put_given_back(&words, kind, address, ticks);
  end(&words);
}

void put_refused(struct state* state, size_t size, uintptr_t site, uint64_t ticks) {
  struct words words = begin(state);
  put_handed_out(&words, MEMTOOL_REFUSED, 0, size, 0, site, ticks);
  end(&words);
}

void put_freed(struct state* state, uintptr_t address, uint64_t ticks) {
  struct words words = begin(state);
  put_given_back(&words, MEMTOOL_FREE, address, ticks);
  end(&words);
}

void put_reallocation(struct state* state, uintptr_t old, uint64_t before, uintptr_t fresh, size_t size, uintptr_t site,
                      uint64_t after) {
  struct words words = begin(state);
  put_given_back(&words, MEMTOOL_REALLOCATE, old, before);
  put_handed_out(&words, MEMTOOL_BECOMES, fresh, size, 0, site, after);
  note_large(fresh, size);
  end(&words);
}

void put_thread(struct state* state) {
  struct words words = begin(state);
  put_field(&words, MEMTOOL_THREAD, state->thread);
  end(&words);
}

void put_frames(struct state* state, uint64_t number, enum memtool_stack_end ends, const uintptr_t* frames,
                unsigned count) {
  struct words words = begin(state);
  put_field(&words, MEMTOOL_STACK, number | (uint64_t)ends << 47 | (uint64_t)count << 49);
  for (unsigned i = 0; i < count; ++i) put(&words, frames[i], WORD);
  end(&words);
}

/* For events other than allocations and frees. A thread that is already inside records none of them. */
static struct state* enter(void) {
  if (here.inside != OUTSIDE || !common.is_ready) return NULL;
  here.inside = RECORDING;
  struct state* state = state_with_room();
  if (state == NULL) here.inside = OUTSIDE;
  return state;
}

static uint64_t put_now(unsigned kind, uint64_t value) {
  struct state* state = enter();
  if (state == NULL) return 0;
  struct words words = begin(state);
  const uint64_t ticks_before = since(&words, ticks_now());
  if (ticks_before != 0) put_field(&words, MEMTOOL_WIDE_TICKS, ticks_before);
  put_field(&words, kind, value);
  end(&words);
  here.inside = OUTSIDE;
  return state->ticks;
}

void put_number(enum memtool_record kind, uint64_t number) {
  put_now(kind, number);
}

uint64_t put_moment(enum memtool_moment moment) {
  return put_now(MEMTOOL_MOMENT, moment);
}

void put_mapping(enum memtool_record kind, uintptr_t address, uint64_t bytes) {
  struct state* state = enter();
  if (state == NULL) return;
  struct words words = begin(state);
  const uint64_t most = UINT64_MAX >> MEMTOOL_HEAD_BITS; /* larger lengths unmap nothing */
  put_field(&words, MEMTOOL_LENGTH, bytes < most ? bytes : most);
  put_given_back(&words, kind, address, ticks_now());
  end(&words);
  here.inside = OUTSIDE;
}
