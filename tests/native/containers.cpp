// Scripts of containers by the C ABI and in one process, under whatever sanitizers this was built with.
//
//   containers IMAGE RECIPE WAY
//
// IMAGE is a file as memtool/kinds/container/script.py makes it. Prints a line for each pass: its name and "done", or
// what went wrong.
#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <vector>

#include "engine/abi/capi.h"
#include "engine/passes/check.hpp"
#include "kinds/container/kernel.hpp"

namespace {

using namespace memtool;

template <class Figures>
void run(const char* pass, const std::vector<char>& image, char** arguments) {
  constexpr std::size_t kRegionBytes = std::size_t{1} << 30;
  void* region =
      mmap(nullptr, kRegionBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  Figures figures{};
  ReplayRequest request{};
  request.struct_bytes = sizeof request;
  request.kind = "container";
  request.pass = pass;
  request.strategy = arguments[2];
  request.parameters = std::strchr(arguments[2], '+') == nullptr ? "" : "+";
  request.way = arguments[3];
  request.image = image.data();
  request.image_bytes = image.size();
  request.region = region;
  request.region_bytes = kRegionBytes;
  request.warmups = 1;
  request.iterations = 2;
  request.ticks_per_ns = 1;
  request.figures = &figures;
  request.figures_bytes = sizeof figures;
  ReplayResult result{};
  result.struct_bytes = sizeof result;
  memtool_replay(&request, &result);
  std::printf("%s: %s\n", pass, result.status == MEMTOOL_DONE ? "done" : result.message);
  munmap(region, kRegionBytes);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
  run<CheckFigures>("check", image, arguments);
  run<containers::TimesFigures>("throughput", image, arguments);
  run<containers::FootprintFigures>("footprint", image, arguments);
}
