/* The rare operations of recording: opening the process's file, and giving buffers to its threads. */
#define _GNU_SOURCE
#include "recorder/recorder.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { STATES_BYTES = 64 * 1024 };

alignas(CACHE_LINE) struct common common TOGETHER = {.unread_mask = EVENTS_A_READING - 1};
struct process* process TOGETHER = NULL;
struct settings settings;
bool is_off TOGETHER = false;
enum clock_of clock_of_events TOGETHER = SPARSE_COUNTER;
unsigned depth TOGETHER = 1;
__thread struct here here INITIAL_EXEC;
bool is_beside_threads;
uint8_t large_blocks[LARGE_PLACES];

static uint32_t opened_by; /* the process that last opened a file; survives a fork */

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

void settle(void) {
  common.unread_mask = clock_of_events == SPARSE_COUNTER ? EVENTS_A_READING - 1 : 0;
  common.is_unusual = is_off || depth > 1 || clock_of_events > COUNTER;
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

/* `FOLDER/PID.TICKS` and an ending. The ticks are needed because a process that executes another program keeps its
 * number. */
static void path_of(char* path, const char* folder, uint32_t pid, uint64_t ticks, const char* ending) {
  const size_t length = strlen(folder);
  memcpy(path, folder, length);
  char* to = path + length;
  *to++ = '/';
  to = with_number(to, pid);
  *to++ = '.';
  to = with_number(to, ticks);
  memcpy(to, ending, strlen(ending) + 1);
}

/* Writing beyond the limit for files would send a signal to the program. */
static bool is_beyond_limit(uint64_t end) {
  struct rlimit limit;
  return syscall(SYS_prlimit64, 0, RLIMIT_FSIZE, NULL, &limit) == 0 && limit.rlim_cur < end;
}

/* Counts the bytes that are reserved in memory and that the reader has not freed yet. */
static bool has_room_in_memory(int file, size_t bytes) {
  struct stat about;
  return fstat(file, &about) == 0 && (uint64_t)about.st_blocks * 512 + bytes <= MEMTOOL_MOST_IN_MEMORY;
}

/* Reserves and maps a part of a file of the process. Returns NULL and sets errno on failure. */
static void* mapped(const char* path, int flags, uint64_t offset, size_t bytes, bool is_in_memory) {
  if (is_beyond_limit(offset + bytes)) return errno = EFBIG, NULL;
  const int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
  if (file < 0) return NULL;
  void* memory = MAP_FAILED;
  errno = ENOSPC;
  /* On a full disk, a page without allocated blocks would raise SIGBUS in the program. */
  if ((!is_in_memory || has_room_in_memory(file, bytes)) &&
      (syscall(SYS_fallocate, file, 0, offset, bytes) == 0 ||
       (errno == EOPNOTSUPP && syscall(SYS_pwrite64, file, "", 1, offset + bytes - 1) == 1)))
    memory = (void*)syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, offset);
  const int problem = errno;
  if (memory == MAP_FAILED && (flags & O_EXCL) != 0) syscall(SYS_unlinkat, AT_FDCWD, path, 0);
  syscall(SYS_close, file);
  errno = problem;
  if (memory == MAP_FAILED) return NULL;
  syscall(SYS_madvise, memory, bytes, MADV_DONTFORK);
  return memory;
}

/* Opens a second file for the recording, wherever there is a place for it. */
static int open_beside(const struct memtool_recording* file, const char* ending) {
  char path[PATH_MAX + 8];
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW;
  int opened = -1;
  if (process->is_in_memory) {
    path_of(path, settings.memory, file->process, file->start_ticks, ending);
    opened = (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
  }
  if (opened >= 0) return opened;
  path_of(path, settings.folder, file->process, file->start_ticks, ending);
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags, 0600);
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
  char text[4096];
  if (file == NULL || is_beyond_limit((uint64_t)1 << 20)) return;
  const int from = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
  if (from < 0) return;
  const int to = open_beside(file, ".maps");
  for (ssize_t got; to >= 0 && (got = syscall(SYS_read, from, text, sizeof text)) > 0;)
    if (syscall(SYS_write, to, text, got) != got) break;
  if (to >= 0) syscall(SYS_close, to);
  syscall(SYS_close, from);
}

static uint32_t least_room(void) {
  return WORD + MOST_RECORD + (depth > 1 ? WORD * (2 + depth) : 0);
}

/* Opens the process's file. The caller holds the lock. */
static bool open_file(void) {
  if (process->file != NULL) return true;
  if (process->is_without) return false;
  const uint32_t pid = (uint32_t)syscall(SYS_getpid);
  const bool is_child = opened_by != 0 && opened_by != pid;
  process->is_without = true;
  if (is_child && settings.leaves_out_children) return false;
  char path[PATH_MAX];
  const uint64_t ticks = ticks_now();
  struct memtool_recording* file = NULL;
  if (settings.memory[0] != 0) {
    path_of(path, settings.memory, pid, ticks, "");
    file = mapped(path, O_CREAT | O_EXCL, 0, sizeof *file, true);
  }
  process->is_in_memory = file != NULL;
  if (file == NULL) {
    path_of(path, settings.folder, pid, ticks, "");
    file = mapped(path, O_CREAT | O_EXCL, 0, sizeof *file, false);
  }
  if (file == NULL) return false;
  file->process = pid;
  file->parent = is_child ? opened_by : 0;
  file->clock = clock_of_events == MONOTONIC ? MEMTOOL_NANOSECONDS : MEMTOOL_TICKS;
  file->word_bytes = sizeof(void*);
  file->start_ticks = ticks;
  file->start_nanoseconds = nanoseconds(CLOCK_MONOTONIC);
  file->start_realtime = nanoseconds(CLOCK_REALTIME);
  file->end = MEMTOOL_CHUNK_UNIT;
  file->forked_at = is_child ? here.forked_at : 0;
  if (is_child && (here.forked_at == 0 || is_beside_threads)) distrust_unwinder();
  here.forked_at = 0;
  file->depth = depth;
  file->remembers_stacks = has_fast_unwinder();
  file->least_room = least_room();
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

/* Returns a state for this thread, new or left by an ended thread. The caller holds the lock. */
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

/* In memory as long as there is room, otherwise on the disk. `*is_beside`: whether that is a second file. */
static struct memtool_chunk* map_chunk(const struct memtool_recording* file, uint64_t offset, uint64_t bytes,
                                       bool* is_beside) {
  char path[PATH_MAX + 8];
  *is_beside = false;
  if (process->is_in_memory) {
    path_of(path, settings.memory, file->process, file->start_ticks, "");
    struct memtool_chunk* chunk = mapped(path, 0, offset, bytes, true);
    if (chunk != NULL) return chunk;
    *is_beside = true;
  }
  path_of(path, settings.folder, file->process, file->start_ticks, *is_beside ? MEMTOOL_BESIDE : "");
  return mapped(path, *is_beside ? O_CREAT : 0, offset, bytes, false);
}

/* Gives a state a new chunk, twice as large as its last one. */
static bool take_chunk(struct state* state) {
  uint64_t bytes = state->chunk_bytes == 0 ? MEMTOOL_CHUNK_UNIT : 2 * state->chunk_bytes;
  if (bytes > MEMTOOL_MOST_CHUNK) bytes = MEMTOOL_MOST_CHUNK;
  struct memtool_recording* file = process->file;
  acquire(&process->lock);
  const uint64_t offset = file->end;
  const uint32_t number = file->chunks;
  const bool has_place = number < MEMTOOL_MOST_CHUNKS;
  if (has_place) {
    file->end += bytes;
    file->chunk_units[number] = (uint8_t)(bytes / MEMTOOL_CHUNK_UNIT);
    __atomic_store_n(&file->chunks, number + 1, __ATOMIC_RELEASE);
  }
  release(&process->lock);
  errno = EFBIG;
  bool is_beside = false;
  struct memtool_chunk* chunk = has_place ? map_chunk(file, offset, bytes, &is_beside) : NULL;
  if (chunk == NULL) {
    uint32_t none = 0;
    __atomic_compare_exchange_n(&file->stopped, &none, (uint32_t)errno, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return false;
  }
  if (is_beside) file->chunk_units[number] |= MEMTOOL_IS_BESIDE;
  if (state->chunk != NULL) syscall(SYS_munmap, state->chunk, state->chunk_bytes);
  state->ticks = ticks_now();
  state->address = MEMTOOL_FIRST_ADDRESS;
  memset(state->callers, 0, sizeof state->callers);
  forget_stacks(state);
  chunk->thread = state->thread;
  chunk->kernel_thread = state->kernel_thread;
  chunk->bytes = bytes;
  chunk->ticks = state->ticks;
  state->chunk = (uint8_t*)chunk;
  state->chunk_bytes = bytes;
  state->cursor = (uint8_t*)(chunk + 1);
  /* Before this end there is room for any record, and for the word of 0 that ends the last one. */
  state->end = (uint8_t*)chunk + bytes - least_room();
  __atomic_store_n(&chunk->magic, MEMTOOL_CHUNK_MAGIC, __ATOMIC_RELEASE);
  return true;
}

/* The C library may still free memory for this thread. So its state is not reused until the kernel has removed the
 * thread. */
void leave_state(struct state* state) {
  acquire(&process->lock);
  state->next = process->left;
  process->left = state;
  release(&process->lock);
}

uint32_t next_thread(void) {
  return __atomic_fetch_add(&process->threads, 1, __ATOMIC_RELAXED);
}

/* Assigns a state to this thread. The thread is RECORDING, because the C library may request memory for its own
 * records. */
static bool adopt(struct state* state, uint32_t thread) {
  const bool is_used = state->chunk != NULL;
  state->thread = thread;
  state->kernel_thread = (uint32_t)syscall(SYS_gettid);
  if (thread != 0) expect_threads();
  if (here.state != state) pthread_setspecific(settings.at_thread_end, state);
  here.state = state;
  if (!(is_used && state->end - state->cursor > MOST_RECORD) && !take_chunk(state)) return false;
  put_thread(state);
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
    state = state_of_file(here.state);
    if (state != NULL)
      is_made = state->chunk == NULL || state != here.state ? adopt(state, next_thread()) : take_chunk(state);
  }
  if (!is_made && process->file != NULL) __atomic_fetch_add(&process->file->lost, 1, __ATOMIC_RELAXED);
  errno = problem;
  return is_made ? state : NULL;
}

void expect_threads(void) {
  if (clock_of_events == SPARSE_COUNTER) clock_of_events = COUNTER;
  settle();
}

void begin_thread(uint32_t thread) {
  if (process->is_without) return;
  const int problem = errno;
  here.inside = RECORDING;
  struct state* state = state_of_file(NULL);
  if (state != NULL) adopt(state, thread);
  here.inside = OUTSIDE;
  errno = problem;
}

COLD void miss(void) {
  if (here.inside == RECORDING && process->file != NULL)
    __atomic_fetch_add(&process->file->missed, 1, __ATOMIC_RELAXED);
}
