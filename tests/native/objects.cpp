// All types of objects in all ways, in every pass of their kind, by the C ABI.
//
//   objects RECIPE PARAMETERS ORDER WAY...      ORDER: 0 as made, 1 in reverse
//
// Prints what failed, a line each, and how many replays there were.
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "engine/abi/capi.h"
#include "engine/passes/throughput.hpp"
#include "kinds/construct/image.hpp"
#include "kinds/construct/types.hpp"

namespace {

using namespace memtool;

constexpr std::size_t kRegion = std::size_t{256} << 20;
// The sizes of types.hpp, in its order.
constexpr std::uint64_t kSizes[construct::kTypes] = {16, 64, 48, 32, 24, 64, 4096, 4096};

const char* run(const construct::Image& image, const char* way, const char* pass, const char* recipe,
                const char* parameters, void* region, ReplayResult& result) {
  const std::string_view name = pass;
  std::vector<std::uint64_t> figures(sizeof(ThroughputFigures) / 8 + 64);
  ReplayRequest request{};
  request.struct_bytes = sizeof request;
  request.kind = "construct";
  request.way = way;
  request.pass = pass;
  request.strategy = recipe;
  request.parameters = parameters;
  request.image = &image;
  request.image_bytes = sizeof image;
  request.region = region;
  request.region_bytes = kRegion;
  request.warmups = 1;
  request.iterations = 2;
  request.ticks_per_ns = 1;
  request.figures = figures.data();
  request.figures_bytes = name == "throughput" ? sizeof(ThroughputFigures) : 64;
  result = {};
  result.struct_bytes = sizeof result;
  return memtool_replay(&request, &result) == MEMTOOL_DONE ? nullptr : result.message;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 5) return 2;
  void* region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) return 1;
  ReplayResult result{};
  int replays = 0;
  for (int argument = 4; argument < count; ++argument) {
    for (std::uint64_t type = 0; type < construct::kTypes; ++type) {
      const construct::Image image{.type = type,
                                   .size = kSizes[type],
                                   .objects = 48,
                                   .per_array = 4,
                                   .rounds = 2,
                                   .order = static_cast<std::uint64_t>(std::atoi(arguments[3])),
                                   .seed = 1};
      for (const char* pass : {"check", "footprint", "throughput", "latency"}) {
        ++replays;
        const char* way = arguments[argument];
        if (const char* wrong = run(image, way, pass, arguments[1], arguments[2], region, result); wrong != nullptr)
          std::printf("%s of type %d, %s: %s\n", way, static_cast<int>(type), pass, wrong);
      }
    }
  }
  std::printf("%d replays\n", replays);
  munmap(region, kRegion);
  return 0;
}
