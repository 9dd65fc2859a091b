// The worker for all allocators that are not written in Python. It does nothing but replay, so that the malloc under
// test is in the same state as in a plain program. In a Python interpreter it would hold free pages of the
// interpreter's own objects, and could serve the replay from them without growing. An interpreter also takes as long to
// start as a small replay.
//
//   memtool-lean DESCRIPTOR
//
// takes a LeanJob (worker/lean_job.h) from a memory file, and writes the result there. It is linked against the engine
// and opens nothing, so the dynamic linker has not allocated with the malloc under test either. It allocates nothing
// itself before the replay.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

#include "worker/lean_job.h"

namespace {

using namespace memtool;

constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14; absent from older headers

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  _exit(1);
}

// A file on a disk, which has no seals, is used if it does not fit into memory. So it is not faulted in at once.
void* map_file(int descriptor, std::size_t bytes, int protection) {
  const int populate = fcntl(descriptor, F_GET_SEALS) >= 0 ? MAP_POPULATE : 0;
  void* mapped = mmap(nullptr, bytes, protection, MAP_SHARED | populate, descriptor, 0);
  if (mapped == MAP_FAILED) give_up("mmap");
  return mapped;
}

std::size_t length_of(int descriptor) {
  struct stat status{};
  if (fstat(descriptor, &status) != 0) give_up("fstat");
  return static_cast<std::size_t>(status.st_size);
}

// Reserves the region in the same way as worker/child.py.
void* reserve(const LeanJob& job) {
  const std::size_t bytes = job.request.region_bytes + job.region_alignment;
  void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) give_up("mmap");
  const auto address = reinterpret_cast<std::uintptr_t>(mapped);
  void* base = reinterpret_cast<void*>((address + job.region_alignment - 1) & ~(job.region_alignment - 1));
  for (const std::int32_t advice : job.advice)
    if (advice != 0 && madvise(mapped, bytes, advice) != 0) give_up("madvise");
  if (job.region_descriptor < 0) return base;
  const bool shared = (job.request.region_flags & MEMTOOL_REGION_SHARED) != 0;
  const int flags = (shared ? MAP_SHARED : MAP_PRIVATE) | MAP_FIXED | MAP_NORESERVE;
  if (mmap(base, job.request.region_bytes, PROT_READ | PROT_WRITE, flags, job.region_descriptor, 0) != base)
    give_up("the region's file cannot be mapped");
  return base;
}

struct Mapping {
  std::uintptr_t from;
  std::uintptr_t to;
  const char* permissions;  // "r-xp"
  const char* path;         // " (deleted)" at its end: the file no longer exists
};

// Calls visit(mapping) for each mapping of a file, without allocating.
template <class Visit>
void for_each_mapped_file(Visit visit) {
  static char text[64 << 10];
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  std::size_t held = 0;
  for (ssize_t got; (got = read(maps, text + held, sizeof text - held)) > 0;) {
    held += static_cast<std::size_t>(got);
    char* line = text;
    for (char* end; (end = static_cast<char*>(std::memchr(line, '\n', held))) != nullptr; line = end + 1) {
      *end = '\0';
      held -= static_cast<std::size_t>(end + 1 - line);
      char* at = nullptr;
      const std::uintptr_t from = std::strtoull(line, &at, 16);
      const std::uintptr_t to = std::strtoull(at + 1, &at, 16);
      const char* path = std::strchr(at, '/');
      if (path != nullptr) visit(Mapping{from, to, at + 1, path});
    }
    std::memmove(text, line, held);
  }
  close(maps);
}

// Faults in the code and the constants of all libraries, so that the replay faults in none of them. The kernel's
// high-water mark of resident memory counts pages of files too.
void fault_in_code() {
  for_each_mapped_file([](const Mapping& mapped) {
    const char* allows = mapped.permissions;
    if (allows[0] == 'r' && allows[1] == '-' && allows[3] == 'p')
      madvise(reinterpret_cast<void*>(mapped.from), mapped.to - mapped.from, kPopulateRead);
  });
}

// Lists the files of the code, so that a file that is replaced during a run is noticed.
void list_code(LeanJob& job) {
  std::size_t held = 0;
  for_each_mapped_file([&](const Mapping& mapped) {
    if (mapped.permissions[2] != 'x') return;
    struct stat known{};
    if (stat(mapped.path, &known) != 0) known = {};
    const auto changed = static_cast<long long>(known.st_mtim.tv_sec) * 1'000'000'000 + known.st_mtim.tv_nsec;
    const int length = std::snprintf(job.code + held, sizeof job.code - held, "%llu %lld %lld %s\n",
                                     static_cast<unsigned long long>(known.st_ino),
                                     static_cast<long long>(known.st_size), changed, mapped.path);
    if (held + static_cast<std::size_t>(length) >= sizeof job.code) give_up("too many libraries");
    held += static_cast<std::size_t>(length);
  });
}

// Reads the same counters as host/noise.py.
NoiseReading read_noise() {
  NoiseReading noise{};
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  noise.elapsed_ns = static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  noise.involuntary_switches = static_cast<std::uint64_t>(used.ru_nivcsw);
  noise.voluntary_switches = static_cast<std::uint64_t>(used.ru_nvcsw);
  char line[256] = {};
  const int statistics = open("/proc/stat", O_RDONLY | O_CLOEXEC);
  const ssize_t got = read(statistics, line, sizeof line - 1);
  close(statistics);
  if (got <= 0) return noise;
  char* at = line + std::strcspn(line, " ");
  constexpr int kFields = 8;  // from "user" to "steal"; "user" already includes guests
  for (int field = 1; field <= kFields; ++field) {
    const std::uint64_t ticks = std::strtoull(at, &at, 10);
    noise.machine_ticks += ticks;
    if (field == kFields) noise.steal_ticks = ticks;
  }
  return noise;
}

// Asks the malloc for its version.
void ask_version(const LeanJob& job, const char* symbol, char* out, std::size_t bytes) {
  void* function = dlsym(RTLD_DEFAULT, symbol);
  if (function == nullptr) return;
  const char* words = nullptr;
  if (job.version_kind == MEMTOOL_VERSION_TEXT) {
    words = reinterpret_cast<const char* (*)()>(function)();
  } else if (job.version_kind == MEMTOOL_VERSION_TCMALLOC) {
    words = reinterpret_cast<const char* (*)(int*, int*, const char**)>(function)(nullptr, nullptr, nullptr);
  } else if (job.version_kind == MEMTOOL_VERSION_MALLCTL) {
    std::size_t length = sizeof words;
    using Mallctl = int (*)(const char*, void*, std::size_t*, void*, std::size_t);
    if (reinterpret_cast<Mallctl>(function)("version", &words, &length, nullptr, 0) != 0) return;
  } else {
    // mimalloc encodes 2.0.9 as 209 and, since 3.2, 3.4.3 as 30403.
    const int number = reinterpret_cast<int (*)()>(function)();
    const int base = number >= 10000 ? 100 : 10;
    std::snprintf(out, bytes, "%d.%d.%d", number / base / base, number / base % base, number % base);
  }
  if (words != nullptr) std::snprintf(out, bytes, "%s", words);
}

// The kernel counts resident pages for each processor in batches. On one processor, the high-water mark can miss at
// most one batch.
void stay_on_one_processor() {
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &here);
  sched_setaffinity(0, sizeof here, &here);
}

// The kernel of a kind of work that is not part of the engine. Its library was preloaded, because nothing is opened
// here.
decltype(&memtool_replay) own_kernel() {
  void* function = dlsym(RTLD_DEFAULT, "memtool_run");
  if (function == nullptr) give_up("the kernel's library has no memtool_run");
  return reinterpret_cast<decltype(&memtool_replay)>(function);
}

void replay(LeanJob& job) {
  char* file = reinterpret_cast<char*>(&job);
  if (job.adopted != 0) {
    job.result.status = memtool_adopt_library(file + job.adopted, job.result.message);
    if (job.result.status != MEMTOOL_DONE) {
      job.result.status = MEMTOOL_WRONG;  // the library's own fault
      return;
    }
    memtool_adopted_owner(job.adopted_owner, sizeof job.adopted_owner, job.adopted_build_id,
                          sizeof job.adopted_build_id);
  }
  ReplayRequest& request = job.request;
  request.strategy = file + job.strategy;
  request.parameters = file + job.parameters;
  request.image = map_file(job.image_descriptor, request.image_bytes, PROT_READ);
  request.region = reserve(job);
  request.kind = file + job.kind;
  request.way = file + job.way;
  request.pass = file + job.pass;
  request.figures = file + job.figures;
  if (job.places_descriptor >= 0) {
    request.places = static_cast<ThreadPlace*>(
        map_file(job.places_descriptor, job.lanes * sizeof(ThreadPlace), PROT_READ | PROT_WRITE));
  }
  if (job.resident != 0) fault_in_code();
  auto* const run = job.own_kernel == 0 ? memtool_replay : own_kernel();
  job.before = read_noise();
  run(&request, &job.result);
  job.after = read_noise();
  list_code(job);
  if (job.version != 0) ask_version(job, file + job.version, job.malloc_version, sizeof job.malloc_version);
  memtool_symbol_owner("malloc", job.malloc_owner, sizeof job.malloc_owner, job.malloc_build_id,
                       sizeof job.malloc_build_id);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int descriptor = std::atoi(arguments[1]);
  auto& job = *static_cast<LeanJob*>(map_file(descriptor, length_of(descriptor), PROT_READ | PROT_WRITE));
  if (job.struct_bytes != sizeof(LeanJob)) {
    std::fprintf(stderr, "%s was built for another version of memtool: run `make native`\n", arguments[0]);
    return 1;
  }
  if (static_cast<std::uint64_t>(getppid()) != job.starter) return 1;
  if (job.one_processor != 0) stay_on_one_processor();
  replay(job);
  job.finished = 1;
  _exit(0);
}
