// Random graph programs on collectors, in one process and under whatever sanitizers this was built with.
//
//   graphs OPERATIONS SEED COLLECTOR PARAMETERS
//
// Plays programs that are drawn from SEED, SEED + 1 and so on until OPERATIONS are played: of each shape in turn, each
// beside the graph that knows what is reachable, and some in all passes. Prints what went wrong, or how much was
// played.
#include <sys/mman.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "engine/passes/counters.hpp"
#include "engine/passes/throughput.hpp"
#include "kinds/graph/kernel.hpp"
#include "kinds/graph/program/shapes.hpp"

namespace {

using namespace memtool;

constexpr std::size_t kRegionBytes = std::size_t{4} << 30;
constexpr std::uint64_t kInAllPasses = 14;  // programs, two of each shape; of later ones each 16th

// In the order of memtool/kinds/graph/program.py.
std::vector<std::uint64_t> drawn(std::uint64_t seed) {
  constexpr std::uint64_t kOperations = 60'000;
  switch (seed % 7) {
    case 0:
      return graph::make_program({{0, seed, 0, 11, 8, 2}});
    case 1:
      return graph::make_program({{1, seed, 1, 9, 16, 40'000}});
    case 2:
      return graph::make_program({{2, seed, 0, 30'000, 8, 2}});
    case 3:
      return graph::make_program({{4, seed, 1, 500, kOperations / 4, 300, 8, 20'000, 64}});
    case 4:
      return graph::make_program({{5, seed, 0, kOperations, 50, 1000, 8, 400}});
    default:
      return graph::make_program({{3, seed, 0, 100 + seed % 1000, 1 + seed % 5, kOperations, 8, 8 + seed % 900}});
  }
}

struct Taken {
  const char* pass;
  std::size_t figures_bytes;
};
constexpr Taken kTaken[] = {
    {"check", sizeof(graph::CheckFigures)},   {"throughput", sizeof(ThroughputFigures)},
    {"latency", sizeof(graph::PauseFigures)}, {"footprint", sizeof(graph::HeapFigures)},
#ifndef __SANITIZE_ADDRESS__  // whose shadow of the whole address space a heap map would go through, page by page
    {"heap", sizeof(graph::MapsFigures)},
#endif
};

}  // namespace

int main(int count, char** words) {
  if (count != 5) return 2;
  const std::uint64_t operations = std::strtoull(words[1], nullptr, 10);
  std::uint64_t seed = std::strtoull(words[2], nullptr, 10);
  void* region =
      mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  const OpenHeap none = [](Region&, Findings&) -> std::unique_ptr<AnyHeap> { return nullptr; };
  std::uint64_t played = 0;
  std::uint64_t programs = 0;
  for (; played < operations; ++seed, ++programs) {
    const std::vector<std::uint64_t> image = drawn(seed);
    for (const Taken& run : kTaken) {
      if (&run != kTaken && programs >= kInAllPasses && programs % 16 != 0) continue;
      std::vector<std::byte> figures(run.figures_bytes);
      ReplayRequest request{};
      request.struct_bytes = sizeof request;
      request.kind = "graph";
      request.way = "";
      request.pass = run.pass;
      request.strategy = words[3];
      request.parameters = words[4];
      request.image = image.data();
      request.image_bytes = image.size() * 8;
      request.region = region;
      request.region_bytes = kRegionBytes;
      request.warmups = 0;
      request.iterations = 1;
      request.ticks_per_ns = 1;
      request.figures = figures.data();
      request.figures_bytes = run.figures_bytes;
      ReplayResult result{};
      KernelCall call(none, request, result);
      graph::run(call);
      if (result.status != MEMTOOL_DONE) {
        std::printf("seed %" PRIu64 ", %s: %u %s\n", seed, run.pass, result.status, result.message);
        return 1;
      }
    }
    madvise(region, kRegionBytes, MADV_DONTNEED);
    played += graph::Program(image.data()).head().operations;
  }
  std::printf("%" PRIu64 " operations in %" PRIu64 " programs, nothing wrong\n", played, programs);
  return 0;
}
