/* The start and the end of a recorded process, and of its threads.
 *
 * Environment:
 *   MEMTOOL_RECORD          folder of the files
 *   MEMTOOL_RECORD_MEMORY   a folder in memory, which is used as long as there is room
 *   MEMTOOL_RECORD_OPTIONS  letters: `n` uses CLOCK_MONOTONIC in place of the counter, `s` reads the counter in order
 *                           with all other instructions, `l` leaves out forked and executed children, `o` records
 *                           nothing until the signal arrives
 *   MEMTOOL_RECORD_DEPTH    number of return addresses of a call stack
 *   MEMTOOL_RECORD_SIGNAL   number of the signal that switches recording on and off
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "recorder/recorder.h"

static bool is_looking_up;
static bool is_configured;

static void leave_thread(void* own) {
  struct state* state = own;
  if (state == NULL || state->chunk == NULL) return;
  put_moment(MEMTOOL_ENDS);
  leave_state(state);
}

static void before_fork(void) {
  here.forked_at = put_moment(MEMTOOL_FORKS);
  is_beside_threads = __atomic_load_n(&process->threads, __ATOMIC_RELAXED) > 1;
}

static void after_fork(void) {
  here.forked_at = 0;
}

static void switch_recording(int signal_number) {
  (void)signal_number;
  const int problem = errno;
  /* Written while recording is on, so that a gap has a beginning and an end. */
  if (!is_off) put_moment(MEMTOOL_OFF);
  is_off = !is_off;
  settle();
  if (!is_off) put_moment(MEMTOOL_ON);
  errno = problem;
}

/* Measures the cost of recording with records that go nowhere but are written as in the program. */
static uint32_t time_records(void) {
  enum { ROUNDS = 64, TRIES = 4, WORDS = ROUNDS * 2 + (2 * MOST_RECORD + TRIES * MOST_STACK) / WORD };
  uint64_t buffer[WORDS];
  struct state nowhere = {.chunk = (uint8_t*)buffer, .end = (uint8_t*)(buffer + WORDS)};
  struct state* const own = here.state;
  uint64_t least = UINT64_MAX;
  here.state = &nowhere;
  for (unsigned attempt = 0; attempt < TRIES; ++attempt) {
    nowhere.cursor = (uint8_t*)buffer;
    const uint64_t begun = nowhere.ticks = ticks_now();
    for (uintptr_t round = 1; round <= ROUNDS; ++round) {
      put_block(&nowhere, MEMTOOL_ALLOCATE, false, (void*)(round * 64), 48, 0, CALLER);
      put_free(&nowhere, false, (void*)(round * 64));
    }
    const uint64_t ticks = ticks_now() - begun;
    if (ticks < least) least = ticks;
  }
  here.state = own;
  leave_stacks(&nowhere);
  return (uint32_t)(least * 1024 / (2 * ROUNDS));
}

/* With the clock of one thread, and with that of several. */
static void time_recording(void) {
  const enum clock_of clock = clock_of_events;
  process->file->ticks_per_event = time_records();
  expect_threads();
  process->file->ticks_beside_threads = clock == clock_of_events ? process->file->ticks_per_event : time_records();
  clock_of_events = clock;
  settle();
}

/* Removes this library from the environment of the programs that this one starts. */
static void leave_environment(void) {
  extern char** environ;
  static const char name[] = "LD_PRELOAD=";
  for (char** at = environ; at != NULL && *at != NULL; ++at) {
    if (strncmp(*at, name, sizeof name - 1) != 0) continue;
    char* own = strstr(*at, "libmemtool-record.so");
    if (own == NULL) return;
    char* first = own;
    while (first > *at + sizeof name - 1 && first[-1] != ':' && first[-1] != ' ') --first;
    char* rest = own + strcspn(own, ": ");
    if (*rest != 0) ++rest;
    memmove(first, rest, strlen(rest) + 1);
    return;
  }
}

static void look_up(void* function, const char* name) {
  *(void**)function = dlsym(RTLD_NEXT, name);
}

/* Reads the environment once it exists. The dynamic linker requests memory before that. */
static void configure(void) {
  const char* where = getenv("MEMTOOL_RECORD");
  const char* options = getenv("MEMTOOL_RECORD_OPTIONS");
  if (where == NULL || strlen(where) >= sizeof settings.folder) return;
  memcpy(settings.folder, where, strlen(where) + 1);
  const char* memory = getenv("MEMTOOL_RECORD_MEMORY");
  if (memory != NULL && strlen(memory) < sizeof settings.memory) memcpy(settings.memory, memory, strlen(memory) + 1);
  if (options == NULL) options = "";
  if (strchr(options, 's') != NULL) clock_of_events = STRICT_COUNTER;
  if (strchr(options, 'n') != NULL) clock_of_events = MONOTONIC;
  settings.leaves_out_children = strchr(options, 'l') != NULL;
  is_off = strchr(options, 'o') != NULL;
  const char* frames = getenv("MEMTOOL_RECORD_DEPTH");
  if (frames != NULL && atoi(frames) > 1) depth = (unsigned)atoi(frames);
  if (depth > MEMTOOL_MOST_DEPTH) depth = MEMTOOL_MOST_DEPTH;
  settle();
  process->is_without = false;
  is_configured = true;
}

bool prepare(void) {
  if (is_looking_up) return false;
  is_looking_up = true;
  look_up(&common.real.malloc, "malloc");
  look_up(&common.real.free, "free");
  look_up(&common.real.calloc, "calloc");
  look_up(&common.real.realloc, "realloc");
  look_up(&common.real.posix_memalign, "posix_memalign");
  look_up(&common.real.aligned_alloc, "aligned_alloc");
  look_up(&common.real.memalign, "memalign");
  look_up(&common.real.valloc, "valloc");
  look_up(&common.real.pvalloc, "pvalloc");
  look_up(&common.real.free_sized, "free_sized");
  look_up(&common.real.free_aligned_sized, "free_aligned_sized");
  look_up(&common.real.malloc_usable_size, "malloc_usable_size");
  look_up(&common.real.pthread_create, "pthread_create");

  const size_t bytes = (sizeof(struct process) + PAGE - 1) & ~(size_t)(PAGE - 1);
  void* memory = (void*)syscall(SYS_mmap, NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static struct process none;
  process = &none;
  if (memory != MAP_FAILED && syscall(SYS_madvise, memory, bytes, MADV_WIPEONFORK) == 0) process = memory;
  process->is_without = true;
  pthread_key_create(&settings.at_thread_end, leave_thread);
  if (process != &none) configure();
  common.is_ready = true;
  return true;
}

static void finish(void);

static __attribute__((constructor)) void start(void) {
  if (!has_functions()) return;
  if (!is_configured) configure();
  if (!is_configured) return;
  pthread_atfork(before_fork, after_fork, NULL);
  at_quick_exit(finish);
  const char* number = getenv("MEMTOOL_RECORD_SIGNAL");
  if (number != NULL) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = switch_recording;
    action.sa_flags = SA_RESTART;
    sigaction(atoi(number), &action, NULL);
  }
  if (settings.leaves_out_children) leave_environment();
  if (depth > 1) {
    here.inside = FORWARDING;
    find_unwinder();
    here.inside = OUTSIDE;
  }
  /* The first thread has number 0. It also makes a program visible that never requests memory. */
  if (here.state == NULL) begin_thread(next_thread());
  if (process->file != NULL && !is_off) time_recording();
  write_maps();
}

/* The kernel's high-water mark. The value of getrusage would include the program before exec. */
static uint64_t peak_resident(void) {
  static const char name[] = "VmHWM:";
  char status[4096] = "";
  read_file("/proc/self/status", status, sizeof status);
  const char* line = strstr(status, name);
  return line == NULL ? 0 : 1024 * strtoull(line + sizeof name - 1, NULL, 10);
}

static __attribute__((destructor)) void finish(void) {
  /* A child of vfork shares our file, and does not end our recording. */
  if (!common.is_ready || process->file == NULL || process->file->process != (uint32_t)syscall(SYS_getpid)) return;
  process->file->peak_resident = peak_resident();
  write_maps();
  __atomic_store_n(&process->file->is_over, 1, __ATOMIC_RELEASE);
}

/* A forked child usually ends this way, without running destructors. */
EXPORT _Noreturn void _exit(int status) {
  finish();
  for (;;) syscall(SYS_exit_group, status);
}

EXPORT _Noreturn void _Exit(int status) {
  _exit(status);
}
