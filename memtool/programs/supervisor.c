/* Runs a program and all its descendants to their end, and reports the resources that they used: the parent of one
 * sample of a whole program (programs/supervised.py).
 *
 *   memtool-supervisor CONTROL ENVIRONMENT LIBRARY PATH ARGV0 [ARGUMENT ...]
 *
 * CONTROL: descriptor of a socket. It receives letters (`t`: ask the program to end, `k`: kill everything) and sends
 * lines of a name and a value. If the other side is closed, memtool has ended, and everything is killed.
 * ENVIRONMENT: descriptor of the program's environment; a zero byte ends each variable.
 * LIBRARY: part of the name of a file that every process has to map; empty: no file is required.
 *
 * The supervisor is small, because the memory of a process before it executes another program counts in that program's
 * peak.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
  MOST_PROCESSES = 4096,
  MOST_BARE = 8,
  PATH_BYTES = 256,
  BUFFER_BYTES = 1 << 16,
  FIRST_LOOK_NS = 100 * 1000, /* then twice as long each time, up to: */
  USUAL_LOOK_NS = 2 * 1000 * 1000,
  SHARE_OF_LOOKS = 50, /* the time between two looks, as a multiple of the processor time of the last one */
  LEAST_BARE_NS = 20 * 1000 * 1000, /* after this lifetime a process has loaded its libraries */
};

struct process {
  pid_t id;
  bool is_seen;
  bool is_bare;
  int64_t first_look;
  char program[PATH_BYTES];
};

static int control;
static int over[2]; /* a pipe that is closed when the program has ended */
static const char* served_library;
static pid_t child;
static atomic_bool has_ended;

static struct process processes[MOST_PROCESSES];
static unsigned known;
static char bare[MOST_BARE][PATH_BYTES];
static unsigned bare_programs;
static pid_t living[MOST_PROCESSES];
static unsigned living_count;
static unsigned most_living;
static uint64_t peak_bytes;
static uint64_t looks;
static char buffer[BUFFER_BYTES + PATH_BYTES];

static int64_t read_clock(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int64_t now_ns(void) {
  return read_clock(CLOCK_MONOTONIC);
}

static void say(const char* name, int64_t value) {
  (void)!dprintf(control, "%s %lld\n", name, (long long)value);
}

/* Reads a small file of the kernel, null-terminated, and returns its size; 0: it cannot be read. */
static size_t read_small(const char* path) {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t bytes = read(file, buffer, BUFFER_BYTES - 1);
  close(file);
  buffer[bytes > 0 ? bytes : 0] = '\0';
  return bytes > 0 ? (size_t)bytes : 0;
}

/* Whether the served library is mapped. `is_readable`: whether any mapping of the process can be read. */
static bool maps_library(pid_t id, bool* is_readable) {
  char path[PATH_BYTES];
  (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)id);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  *is_readable = false;
  if (file < 0) return false;
  const size_t overlap = strlen(served_library);
  size_t kept = 0;
  bool is_there = false;
  ssize_t bytes;
  while (!is_there && (bytes = read(file, buffer + kept, BUFFER_BYTES - kept)) > 0) {
    *is_readable = true;
    const size_t all = kept + (size_t)bytes;
    is_there = memmem(buffer, all, served_library, overlap) != NULL;
    kept = all < overlap ? all : overlap;
    memmove(buffer, buffer + all - kept, kept);
  }
  close(file);
  return is_there;
}

static void note_bare(const char* program) {
  for (unsigned i = 0; i < bare_programs; ++i)
    if (strcmp(bare[i], program) == 0) return;
  if (bare_programs < MOST_BARE) (void)snprintf(bare[bare_programs++], PATH_BYTES, "%s", program);
}

static struct process* entry_of(pid_t id) {
  for (unsigned i = 0; i < known; ++i)
    if (processes[i].id == id) return &processes[i];
  if (known == MOST_PROCESSES) return NULL;
  processes[known] = (struct process){.id = id};
  return &processes[known++];
}

/* Checks whether a process has loaded the served library, until it has, and again after it executes another program. */
static void look_into(pid_t id, int64_t now) {
  struct process* const process = entry_of(id);
  if (process == NULL) return;
  char path[PATH_BYTES];
  char program[PATH_BYTES];
  (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)id);
  const ssize_t bytes = readlink(path, program, sizeof program - 1);
  if (bytes <= 0) return;
  program[bytes] = '\0';
  /* Between fork and exec a process still runs its parent's program, or ours. */
  if (strcmp(program, process->program) != 0) *process = (struct process){.id = id, .first_look = now};
  (void)memcpy(process->program, program, sizeof program);
  if (process->is_seen || served_library[0] == '\0') return;
  bool is_readable = false;
  process->is_seen = maps_library(id, &is_readable);
  process->is_bare = !process->is_seen && is_readable && now - process->first_look >= LEAST_BARE_NS;
  if (process->is_bare) note_bare(program);
}

/* Resident bytes of a process. If `proportional`, pages shared with other processes count in proportion. */
static uint64_t bytes_of(pid_t id, bool proportional) {
  char path[PATH_BYTES];
  if (proportional) {
    (void)snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)id);
    if (read_small(path) > 0) {
      const char* const line = strstr(buffer, "\nPss:");
      if (line != NULL) return strtoull(line + 5, NULL, 10) * 1024;
    }
  }
  (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)id);
  if (read_small(path) == 0) return 0;
  char* rest = buffer;
  (void)strtoull(rest, &rest, 10);
  const uint64_t resident = strtoull(rest, &rest, 10);
  const uint64_t shared = proportional ? strtoull(rest, &rest, 10) : 0;
  return (resident > shared ? resident - shared : 0) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Adds the child processes of a thread. */
static void add_children_of(pid_t process, int thread) {
  char path[PATH_BYTES];
  (void)snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)process, thread);
  if (read_small(path) == 0) return;
  for (char* rest = buffer; living_count < MOST_PROCESSES;) {
    const long id = strtol(rest, &rest, 10);
    if (id <= 0) return;
    living[living_count++] = (pid_t)id;
  }
}

/* Lists all living descendants. An orphan is ours, whatever its session. */
static void list_living(void) {
  living_count = 0;
  for (unsigned next = 0; next <= living_count; ++next) {
    char folder[PATH_BYTES];
    const pid_t id = next == 0 ? getpid() : living[next - 1];
    (void)snprintf(folder, sizeof folder, "/proc/%d/task", (int)id);
    DIR* const threads = opendir(folder);
    if (threads == NULL) continue;
    for (const struct dirent* entry; (entry = readdir(threads)) != NULL;) {
      if (entry->d_name[0] != '.') add_children_of(id, atoi(entry->d_name));
    }
    closedir(threads);
  }
}

static uint64_t sum_of(bool proportional) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < living_count; ++i) sum += bytes_of(living[i], proportional);
  return sum;
}

/* Shared pages are attributed only if there could be a new peak, because that walks page tables. */
static void look(void) {
  const int64_t now = now_ns();
  list_living();
  ++looks;
  if (living_count > most_living) most_living = living_count;
  uint64_t bytes = sum_of(false);
  if (living_count > 1 && bytes > peak_bytes) bytes = sum_of(true);
  if (bytes > peak_bytes) peak_bytes = bytes;
  for (unsigned i = 0; i < living_count; ++i) look_into(living[i], now);
}

/* Kills until no descendant is left, because the children of a killed process become ours. */
static void kill_all(void) {
  for (;;) {
    list_living();
    if (living_count == 0) return;
    for (unsigned i = 0; i < living_count; ++i) kill(living[i], SIGKILL);
    if (!has_ended) return; /* the main thread reaps, and calls again */
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    usleep(1000);
  }
}

static void obey(void) {
  char letter = 'k';
  if (read(control, &letter, 1) <= 0) letter = 'k';
  if (has_ended) return;
  if (letter == 't')
    kill(-child, SIGTERM);
  else
    kill_all();
}

static void* watch(void* nothing) {
  struct pollfd sources[] = {{.fd = over[0], .events = POLLIN}, {.fd = control, .events = POLLIN}};
  int64_t between = FIRST_LOOK_NS;
  while (!has_ended) {
    const int64_t begun = read_clock(CLOCK_THREAD_CPUTIME_ID);
    look();
    const int64_t share = SHARE_OF_LOOKS * (read_clock(CLOCK_THREAD_CPUTIME_ID) - begun);
    const int64_t pause = share > between ? share : between;
    const struct timespec wait = {.tv_sec = pause / 1000000000, .tv_nsec = pause % 1000000000};
    if (ppoll(sources, 2, &wait, NULL) > 0 && sources[1].revents != 0) obey();
    if (between < USUAL_LOOK_NS) between *= 2;
  }
  return nothing;
}

/* Nothing here may modify data of the parent, whose memory this is. */
static _Noreturn void become(const char* path, char* const* arguments, char* const* environment, int* problem,
                             volatile int64_t* begun) {
  struct sigaction usual = {.sa_handler = SIG_DFL};
  for (int number = 1; number < NSIG; ++number) (void)sigaction(number, &usual, NULL);
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  *begun = now_ns();
  execve(path, arguments, environment);
  *problem = errno;
  _exit(127);
}

static __attribute__((noinline)) char** read_environment(int file) {
  struct stat status;
  if (fstat(file, &status) != 0) return NULL;
  const size_t bytes = (size_t)status.st_size;
  char* const text = malloc(bytes + 1);
  char** const variables = malloc((bytes + 1) * sizeof *variables);
  if (text == NULL || variables == NULL || pread(file, text, bytes, 0) != (ssize_t)bytes) return NULL;
  size_t count = 0;
  for (size_t at = 0; at < bytes; at += strlen(text + at) + 1) variables[count++] = text + at;
  variables[count] = NULL;
  return variables;
}

static int64_t nanoseconds(struct timeval time) {
  return ((int64_t)time.tv_sec * 1000000 + time.tv_usec) * 1000;
}

static void report(int64_t wall, int status) {
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  const uint64_t largest = (uint64_t)usage.ru_maxrss * 1024;
  const struct process* const first = entry_of(child);
  unsigned seen = 0;
  for (unsigned i = 0; i < known; ++i) seen += processes[i].is_seen;
  say("wall_ns", wall);
  say("exit_status", WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
  say("user_ns", nanoseconds(usage.ru_utime));
  say("system_ns", nanoseconds(usage.ru_stime));
  say("tree_peak_bytes", (int64_t)(largest > peak_bytes ? largest : peak_bytes));
  say("largest_process_bytes", (int64_t)largest);
  say("minor_faults", usage.ru_minflt);
  say("major_faults", usage.ru_majflt);
  say("voluntary_switches", usage.ru_nvcsw);
  say("involuntary_switches", usage.ru_nivcsw);
  say("most_processes", most_living);
  say("looks", (int64_t)looks);
  say("served_processes", seen);
  say("is_served", first != NULL && first->is_seen);
  say("is_bare", first != NULL && first->is_bare);
  for (unsigned i = 0; i < bare_programs; ++i) (void)!dprintf(control, "bare %s\n", bare[i]);
  say("done", 0);
}

int main(int count, char** arguments) {
  if (count < 6) return 2;
  control = atoi(arguments[1]);
  served_library = arguments[3];
  char** const environment = read_environment(atoi(arguments[2]));
  fcntl(control, F_SETFD, FD_CLOEXEC);
  fcntl(atoi(arguments[2]), F_SETFD, FD_CLOEXEC);
  if (environment == NULL || pipe2(over, O_CLOEXEC) != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return 2;
  signal(SIGPIPE, SIG_IGN);
  static int problem;
  static volatile int64_t begun; /* when it executed the program, so that the fork does not count */
  child = vfork();
  if (child == 0) become(arguments[4], arguments + 5, environment, &problem, &begun);
  if (child < 0 || problem != 0) {
    say("refused", child < 0 ? errno : problem);
    return 0;
  }
  say("started", child);
  pthread_t watcher;
  if (pthread_create(&watcher, NULL, watch, NULL) != 0) return 2;
  siginfo_t ended;
  for (;;) {
    ended.si_pid = 0;
    if (waitid(P_ALL, 0, &ended, WEXITED | WNOWAIT) != 0 && errno != EINTR) return 2;
    if (ended.si_pid == child) break;
    if (ended.si_pid > 0) waitpid(ended.si_pid, NULL, 0);
  }
  const int64_t wall = now_ns() - begun;
  /* Until here the process id cannot be reused, so the watcher may send signals to it. */
  has_ended = true;
  close(over[1]);
  pthread_join(watcher, NULL);
  list_living();
  const unsigned left = living_count > 0 ? living_count - 1 : 0;
  int status = 0;
  waitpid(child, &status, 0);
  kill_all();
  while (waitpid(-1, NULL, 0) > 0) {
  }
  say("left_processes", left);
  report(wall, status);
  return 0;
}
