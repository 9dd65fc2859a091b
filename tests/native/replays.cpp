// A thread image (or an image, for mode 0) replayed again and again by the check pass, in one process: what is alive at
// the end of the events must be the same every time, whatever the threads do.
//
//   replays IMAGE MODE STRATEGY TIMES
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "engine/abi/capi.h"
#include "engine/events/thread_image.hpp"
#include "engine/passes/check.hpp"
#include "engine/registry/recipe.hpp"

int main(int count, char** arguments) {
  using namespace memtool;
  if (count != 5) return 2;
  const int file = open(arguments[1], O_RDONLY | O_CLOEXEC);
  struct stat found{};
  if (file < 0 || fstat(file, &found) != 0) return 2;
  const auto bytes = static_cast<std::size_t>(found.st_size);
  const void* image = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file, 0);
  constexpr std::size_t kRegion = std::size_t{256} << 20;
  void* region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (image == MAP_FAILED || region == MAP_FAILED) return 2;

  ReplayRequest request{};
  request.struct_bytes = sizeof request;
  request.kind = "heap";
  request.pass = "check";
  request.mode = static_cast<std::uint32_t>(std::atoi(arguments[2]));
  request.image = image;
  request.image_bytes = bytes;
  request.region = region;
  request.region_bytes = kRegion;
  const std::uint64_t lanes = request.mode == MEMTOOL_SERIAL ? 1 : static_cast<const ThreadImageHeader*>(image)->lanes;
  std::vector<ThreadPlace> places(lanes);
  request.places = places.data();
  for (int i = std::atoi(arguments[4]); i > 0; --i) {
    ReplayResult result{};
    CheckFigures figures{};
    request.figures = &figures;
    request.figures_bytes = sizeof figures;
    Recipe(arguments[3], "").replay(request, result);
    if (result.status != MEMTOOL_DONE) {
      std::fprintf(stderr, "%s\n", result.message);
      return 1;
    }
    std::printf("%llu %llu %llx\n", static_cast<unsigned long long>(figures.surviving_objects),
                static_cast<unsigned long long>(figures.surviving_size),
                static_cast<unsigned long long>(figures.surviving_digest));
  }
  return 0;
}
