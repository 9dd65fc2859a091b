// A worker that does nothing but replay: memory is measured here, where the malloc under test is as a plain program
// finds it. In the interpreter it would hold free pages of the interpreter's own objects, out of which the replay would
// be served without growing.
//
//   memtool-lean DESCRIPTOR
//
// takes a LeanJob (engine/abi/capi.h) from a memory file, and writes the result there. It is linked against the engine
// and opens nothing, so that the dynamic linker has allocated nothing with the malloc under test either; and before the
// replay it allocates nothing itself.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/abi/capi.h"

namespace {

using namespace memtool;

constexpr int kPopulateRead = 22;  // MADV_POPULATE_READ, Linux 5.14; absent from older headers

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  _exit(1);
}

// A file on a disk, which has no seals, is there because memory has no room for it: not faulted in at once.
void* map_file(int descriptor, std::size_t bytes, int protection) {
  const int populate = fcntl(descriptor, F_GET_SEALS) >= 0 ? MAP_POPULATE : 0;
  void* mapped = mmap(nullptr, bytes, protection, MAP_SHARED | populate, descriptor, 0);
  if (mapped == MAP_FAILED) give_up("mmap");
  return mapped;
}

std::size_t length_of(int descriptor) {
  struct stat found{};
  if (fstat(descriptor, &found) != 0) give_up("fstat");
  return static_cast<std::size_t>(found.st_size);
}

// Reserves the region as worker/child.py does.
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

// The code and the constants of all libraries, so that the replay faults none of them in: the kernel's high-water mark
// of resident memory counts pages of files too.
void fault_in_code() {
  static char text[64 << 10];  // a mapping beyond these is faulted in by the replay, and taken off again
  const int maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  std::size_t held = 0;
  for (ssize_t got; held < sizeof text - 1 && (got = read(maps, text + held, sizeof text - 1 - held)) > 0;)
    held += static_cast<std::size_t>(got);
  close(maps);
  text[held] = '\0';
  for (char* line = text; *line != '\0';) {
    char* end = std::strchr(line, '\n');
    if (end == nullptr) return;
    *end = '\0';
    char* at = nullptr;
    const std::uintptr_t from = std::strtoull(line, &at, 16);
    const std::uintptr_t to = std::strtoull(at + 1, &at, 16);
    // Private, readable, not writable, of a file: " r-xp ... /usr/lib/libc.so.6".
    if (at[1] == 'r' && at[2] == '-' && at[4] == 'p' && std::strchr(at, '/') != nullptr)
      madvise(reinterpret_cast<void*>(from), to - from, kPopulateRead);
    line = end + 1;
  }
}

// The kernel counts resident pages for each processor apart, in batches: on one there is one batch at most that the
// high-water mark has not seen.
void stay_on_one_processor() {
  cpu_set_t here;
  CPU_ZERO(&here);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &here);
  sched_setaffinity(0, sizeof here, &here);
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
  request.pass = file + job.pass;
  request.figures = file + job.figures;
  if (job.places_descriptor >= 0) {
    request.places = static_cast<ThreadPlace*>(
        map_file(job.places_descriptor, job.lanes * sizeof(ThreadPlace), PROT_READ | PROT_WRITE));
  }
  fault_in_code();
  memtool_replay(&request, &job.result);
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
