/* What an event needs seldom: the process's file, and the buffers of its threads. */
#define _GNU_SOURCE
#include "recorder/recorder.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STATES_BYTES = 64 * 1024 };

struct process* process;
struct settings settings;
bool is_off;
enum clock_of clock_of_events;
unsigned depth = 1;
__thread struct state* mine INITIAL_EXEC;
__thread enum inside is_inside INITIAL_EXEC;
__thread uint64_t forked_at INITIAL_EXEC;
bool is_beside_threads;

static uint32_t opened_by; /* the process that opened a file at last; survives a fork */

static uint64_t nanoseconds(clockid_t clock) {
  struct timespec now;
  clock_gettime(clock, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t slow_ticks(void) {
  if (clock_of_events == MONOTONIC) return nanoseconds(CLOCK_MONOTONIC);
#if defined(__x86_64__)
  unsigned processor;
  const uint64_t ticks = __builtin_ia32_rdtscp(&processor);
  __builtin_ia32_lfence();
  return ticks;
#else
  uint64_t ticks;
  __asm__ volatile("isb; mrs %0, cntvct_el0; isb" : "=r"(ticks)::"memory");
  return ticks;
#endif
}

static void acquire(int* lock) {
  while (__atomic_exchange_n(lock, 1, __ATOMIC_ACQUIRE) != 0) syscall(SYS_sched_yield);
}

static void release(int* lock) {
  __atomic_store_n(lock, 0, __ATOMIC_RELEASE);
}

static char* with_number(char* to, uint64_t number) {
  char digits[24];
  size_t count = 0;
  do digits[count++] = (char)('0' + number % 10);
  while ((number /= 10) != 0);
  while (count != 0) *to++ = digits[--count];
  return to;
}

/* `FOLDER/PID.TICKS`: a process that executes another program keeps its number. Writes the path, and its end. */
static void path_of(char* path, uint32_t pid, uint64_t ticks) {
  const size_t length = strlen(settings.folder);
  memcpy(path, settings.folder, length);
  char* to = path + length;
  *to++ = '/';
  to = with_number(to, pid);
  *to++ = '.';
  to = with_number(to, ticks);
  *to = 0;
}

/* What lies beyond the limit for files would be a signal to the program. */
static bool is_beyond_limit(uint64_t end) {
  struct rlimit limit;
  return syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) == 0 && limit.rlim_cur < end;
}

/* Reserves and maps a part of the process's file; NULL, and errno, where it cannot be had. */
static void* mapped(const char* path, int flags, uint64_t offset, size_t bytes) {
  if (is_beyond_limit(offset + bytes)) return errno = EFBIG, NULL;
  const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (file < 0) return NULL;
  void* memory = MAP_FAILED;
  /* Without blocks of its own a page of a full disk is a SIGBUS of the program's. */
  if (syscall(SYS_fallocate, file, 0, offset, bytes) == 0 ||
      (errno == EOPNOTSUPP && syscall(SYS_pwrite64, file, "", 1, offset + bytes - 1) == 1))
    memory = (void*)syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
  const int problem = errno;
  syscall(SYS_close, file);
  errno = problem;
  if (memory == MAP_FAILED) return NULL;
  syscall(SYS_madvise, memory, bytes, MADV_DONTFORK);
  return memory;
}

void read_file(const char* path, char* to, size_t bytes) {
  const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
  if (file < 0) return;
  const ssize_t got = syscall(SYS_read, file, to, bytes - 1);
  if (got > 0) to[got] = 0;
  syscall(SYS_close, file);
}

void write_maps(void) {
  const struct memtool_recording* file = process->file;
  char path[PATH_MAX + 8], text[4096];
  if (file == NULL || is_beyond_limit((uint64_t)1 << 20)) return;
  path_of(path, file->process, file->start_ticks);
  memcpy(path + strlen(path), ".maps", sizeof ".maps");
  const int from = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
  if (from < 0) return;
  const int to = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
  for (ssize_t got; to >= 0 && (got = syscall(SYS_read, from, text, sizeof text)) > 0;)
    if (syscall(SYS_write, to, text, got) != got) break;
  if (to >= 0) syscall(SYS_close, to);
  syscall(SYS_close, from);
}

static uint32_t room_for_stacks(void) {
  return depth > 1 ? 32 + 6 * depth : 0;
}

/* Opens the process's file; with the lock held. */
static bool open_file(void) {
  if (process->file != NULL) return true;
  if (process->is_without) return false;
  const uint32_t pid = (uint32_t)syscall(SYS_getpid);
  const bool is_child = opened_by != 0 && opened_by != pid;
  process->is_without = true;
  if (is_child && settings.leaves_out_children) return false;
  char path[PATH_MAX];
  const uint64_t ticks = ticks_now();
  path_of(path, pid, ticks);
  struct memtool_recording* file = mapped(path, O_CREAT | O_EXCL, 0, sizeof *file);
  if (file == NULL) return false;
  file->process = pid;
  file->parent = is_child ? opened_by : 0;
  file->clock = clock_of_events == MONOTONIC ? MEMTOOL_NANOSECONDS : MEMTOOL_TICKS;
  file->word_bytes = sizeof(void*);
  file->start_ticks = ticks;
  file->start_nanoseconds = nanoseconds(CLOCK_MONOTONIC);
  file->start_realtime = nanoseconds(CLOCK_REALTIME);
  file->end = MEMTOOL_CHUNK_UNIT;
  file->forked_at = is_child ? forked_at : 0;
  if (is_child && (forked_at == 0 || is_beside_threads)) distrust_unwinder();
  forked_at = 0;
  file->depth = depth;
  file->remembers_stacks = has_fast_unwinder();
  file->least_room = MOST_RECORD + room_for_stacks();
  const ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, "/proc/self/exe", file->program, sizeof file->program - 1);
  if (length > 0) file->program[length] = 0;
  read_file("/proc/self/cmdline", file->arguments, sizeof file->arguments);
  __atomic_store_n(&file->magic, MEMTOOL_RECORDING_MAGIC, __ATOMIC_RELEASE);
  opened_by = pid;
  process->file = file;
  process->is_without = false;
  return true;
}

static bool is_dead(const struct state* state) {
  return syscall(SYS_tgkill, (pid_t)syscall(SYS_getpid), (pid_t)state->kernel_thread, 0) != 0 && errno == ESRCH;
}

/* A state for this thread, or that of one that is gone; with the lock held. */
static struct state* take_state(void) {
  for (struct state** at = &process->left; *at != NULL; at = &(*at)->next) {
    if (is_dead(*at)) {
      struct state* state = *at;
      *at = state->next;
      return state;
    }
  }
  if ((size_t)(process->slab_end - process->slab) < sizeof(struct state)) {
    void* slab = (void*)syscall(SYS_mmap, NULL, (size_t)STATES_BYTES, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slab == MAP_FAILED) return NULL;
    syscall(SYS_madvise, slab, (size_t)STATES_BYTES, MADV_WIPEONFORK);
    process->slab = slab;
    process->slab_end = process->slab + STATES_BYTES;
  }
  struct state* fresh = (struct state*)(void*)process->slab;
  process->slab += sizeof(struct state);
  return fresh;
}

/* Gives a state a chunk of its own, twice as large as the one before. */
static bool take_chunk(struct state* state) {
  uint64_t bytes = state->chunk_bytes == 0 ? MEMTOOL_CHUNK_UNIT : 2 * state->chunk_bytes;
  if (bytes > MEMTOOL_MOST_CHUNK) bytes = MEMTOOL_MOST_CHUNK;
  struct memtool_recording* file = process->file;
  acquire(&process->lock);
  const uint64_t offset = file->end;
  const bool has_place = file->chunks < MEMTOOL_MOST_CHUNKS;
  if (has_place) {
    file->end += bytes;
    file->chunk_units[file->chunks] = (uint8_t)(bytes / MEMTOOL_CHUNK_UNIT);
    __atomic_store_n(&file->chunks, file->chunks + 1, __ATOMIC_RELEASE);
  }
  release(&process->lock);
  char path[PATH_MAX];
  path_of(path, file->process, file->start_ticks);
  errno = EFBIG;
  struct memtool_chunk* chunk = has_place ? mapped(path, 0, offset, bytes) : NULL;
  if (chunk == NULL) {
    uint32_t none = 0;
    __atomic_compare_exchange_n(&file->stopped, &none, (uint32_t)errno, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return false;
  }
  if (state->chunk != NULL) syscall(SYS_munmap, state->chunk, state->chunk_bytes);
  state->ticks = ticks_now();
  state->address = 0;
  memset(state->callers, 0, sizeof state->callers);
  forget_stacks(state);
  chunk->thread = state->thread;
  chunk->kernel_thread = state->kernel_thread;
  chunk->bytes = bytes;
  chunk->ticks = state->ticks;
  state->chunk = (uint8_t*)chunk;
  state->chunk_bytes = bytes;
  state->cursor = (uint8_t*)(chunk + 1);
  state->end = (uint8_t*)chunk + bytes - 1 - room_for_stacks(); /* a byte of 0 ends the last record */
  __atomic_store_n(&chunk->magic, MEMTOOL_CHUNK_MAGIC, __ATOMIC_RELEASE);
  return true;
}

/* The C library frees more for this thread after this: its state stays its own until the kernel has forgotten it. */
void leave_state(struct state* state) {
  acquire(&process->lock);
  state->next = process->left;
  process->left = state;
  release(&process->lock);
}

uint32_t next_thread(void) {
  return __atomic_fetch_add(&process->threads, 1, __ATOMIC_RELAXED);
}

COLD void put_low_bits(struct state* state, uintptr_t address) {
  struct record record = begin(state, MEMTOOL_LOW_BITS, false, state->ticks);
  *record.to++ = (uint8_t)(address & 7);
  end(&record);
}

/* Makes a state this thread's; the thread is RECORDING, since the C library may ask for memory for its own books. */
static bool adopt(struct state* state, uint32_t thread) {
  const bool is_used = state->chunk != NULL;
  state->thread = thread;
  state->kernel_thread = (uint32_t)syscall(SYS_gettid);
  if (thread != 0) expect_threads();
  if (mine != state) pthread_setspecific(settings.at_thread_end, state);
  mine = state;
  if (!(is_used && state->end - state->cursor > 2 * MOST_RECORD) && !take_chunk(state)) return false;
  struct record record = begin(state, MEMTOOL_THREAD, false, ticks_now());
  record.to = put_varint(put_varint(record.to, state->thread), state->kernel_thread);
  end(&record);
  return true;
}

static struct state* state_of_file(struct state* own) {
  acquire(&process->lock);
  struct state* state = !open_file() ? NULL : own != NULL ? own : take_state();
  release(&process->lock);
  return state;
}

COLD struct state* make_room(void) {
  if (process->is_without) return NULL;
  const int problem = errno;
  struct state* state = NULL;
  bool is_made = false;
  if (process->file == NULL || process->file->stopped == 0) {
    state = state_of_file(mine);
    if (state != NULL)
      is_made = state->chunk == NULL || state != mine ? adopt(state, next_thread()) : take_chunk(state);
  }
  if (!is_made && process->file != NULL) __atomic_fetch_add(&process->file->lost, 1, __ATOMIC_RELAXED);
  errno = problem;
  return is_made ? state : NULL;
}

void expect_threads(void) {
  if (clock_of_events == SPARSE_COUNTER) clock_of_events = COUNTER;
}

void begin_thread(uint32_t thread) {
  if (process->is_without) return;
  const int problem = errno;
  is_inside = RECORDING;
  struct state* state = state_of_file(NULL);
  if (state != NULL) adopt(state, thread);
  is_inside = OUTSIDE;
  errno = problem;
}

COLD void miss(void) {
  if (is_inside == RECORDING && process->file != NULL) __atomic_fetch_add(&process->file->missed, 1, __ATOMIC_RELAXED);
}

COLD void note_large(uintptr_t address) {
  const unsigned bit = large_bit(address);
  __atomic_fetch_or(&process->large[bit / 64], UINT64_C(1) << bit % 64, __ATOMIC_RELAXED);
}

/* How much of a large block is resident, before it is freed: so much of it the program may have touched. */
COLD void put_resident(struct state* state, uintptr_t address, uint64_t ticks) {
  const int problem = errno;
  const size_t bytes = real.malloc_usable_size == NULL ? 0 : real.malloc_usable_size((void*)address);
  if (bytes >= LARGE) {
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
    struct record record = begin(state, MEMTOOL_RESIDENT, false, ticks);
    record.to = put_varint(record.to, resident < bytes ? resident : bytes);
    end(&record);
  }
  errno = problem;
}

/* What is neither asked for nor freed: whoever is inside already records nothing of it. */
static struct state* enter(void) {
  if (is_inside != OUTSIDE || !is_ready) return NULL;
  is_inside = RECORDING;
  struct state* state = state_with_room();
  if (state == NULL) is_inside = OUTSIDE;
  return state;
}

static void leave(struct record record) {
  end(&record);
  is_inside = OUTSIDE;
}

void put_number(enum memtool_record kind, uint64_t number) {
  struct state* state = enter();
  if (state == NULL) return;
  struct record record = begin(state, kind, false, ticks_now());
  record.to = put_varint(record.to, number);
  leave(record);
}

uint64_t put_moment(enum memtool_moment moment) {
  struct state* state = enter();
  if (state == NULL) return 0;
  struct record record = begin(state, MEMTOOL_MOMENT, false, ticks_now());
  *record.to++ = (uint8_t)moment;
  leave(record);
  return state->ticks;
}

void put_mapping(enum memtool_record kind, uintptr_t address, uint64_t bytes) {
  struct state* state = enter();
  if (state == NULL) return;
  struct record record = begin(state, kind, false, ticks_now());
  put_address(&record, address);
  record.to = put_varint(record.to, bytes);
  leave(record);
}
