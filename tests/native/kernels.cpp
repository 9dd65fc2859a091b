// One kernel of a kind of work, by the C ABI and in one process: each way in each pass, on a region of its own.
//
//   kernels KIND IMAGE STRATEGY PARAMETERS PASSES WAY...
//
// IMAGE is a file in the compiled form of the kind, PASSES such as check+throughput. Prints a line for each way and
// pass: its status, and its words.
#include <sys/mman.h>

#include <cstddef>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>
#include <vector>

#include "engine/abi/capi.h"
#include "engine/passes/passes.hpp"

namespace {

using namespace memtool;

constexpr std::size_t kRegionBytes = std::size_t{64} << 20;
constexpr std::size_t kRoom = std::size_t{256} << 10;  // for the figures of any kind and pass

// The structure that a pass has of heap events; other kinds have smaller ones of their own.
struct Wanted {
  const char* pass;
  std::size_t figures_bytes;
};
constexpr Wanted kPassesOfAKernel[] = {{"check", sizeof(CheckFigures)},
                                       {"throughput", sizeof(ThroughputFigures)},
                                       {"footprint", sizeof(FootprintFigures)},
                                       {"latency", sizeof(LatencyFigures)}};

struct Work {
  const char* kind;
  std::vector<char> image;
  const char* strategy;
  const char* parameters;
};

void run(const Work& work, const char* way, const Wanted& wanted) {
  void* region =
      mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  std::vector<std::byte> figures(kRoom);
  ReplayRequest request{};
  request.struct_bytes = sizeof request;
  request.kind = work.kind;
  request.pass = wanted.pass;
  request.way = way;
  request.strategy = work.strategy;
  request.parameters = work.parameters;
  request.image = work.image.data();
  request.image_bytes = work.image.size();
  request.region = region;
  request.region_bytes = kRegionBytes;
  request.warmups = 1;
  request.iterations = 2;
  request.use_counter = 1;
  request.figures = figures.data();
  request.figures_bytes = wanted.figures_bytes;
  ReplayResult result{};
  result.struct_bytes = sizeof result;
  memtool_replay(&request, &result);
  std::printf("%s %s: %u%s%s\n", way, wanted.pass, result.status, result.message[0] == '\0' ? "" : " ", result.message);
  munmap(region, kRegionBytes);
}

}  // namespace

int main(int count, char** words) {
  const std::span<char*> arguments(words, static_cast<std::size_t>(count));
  if (count < 7) return 2;
  const std::string_view passes = arguments[5];
  std::ifstream file(arguments[2], std::ios::binary);
  const Work work{arguments[1], {std::istreambuf_iterator<char>(file), {}}, arguments[3], arguments[4]};
  for (const char* way : arguments.subspan(6))
    for (const Wanted& wanted : kPassesOfAKernel)
      if (passes.find(wanted.pass) != std::string_view::npos) run(work, way, wanted);
  return 0;
}
