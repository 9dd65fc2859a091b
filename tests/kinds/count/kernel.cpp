// Fills the region with blocks of one size, and counts them. In a library of its own, beside the engine's.
#include <cstdint>
#include <string_view>

#include "engine/abi/capi.h"
#include "engine/instruments/clock.hpp"
#include "engine/replay/frame.hpp"

namespace {

using namespace memtool;

struct Image {
  std::uint64_t size;
};
// results.py has the same.
struct Count {
  std::uint64_t blocks;
};
// memtool/passes/throughput.py has the same.
struct Times {
  std::uint64_t threads;
  Timings timings;
};

// One filling of an empty region; false: it has failed, with the words in the result.
bool fill(const ReplayRequest& request, ReplayResult& result, Count& count, std::uint64_t& ticks) {
  const std::uint64_t size = static_cast<const Image*>(request.image)->size;
  const Clock clock(request.use_counter != 0);
  HeapHandle* heap =
      memtool_heap_open(request.strategy, request.parameters, request.region, request.region_bytes, result.message);
  result.status = MEMTOOL_BAD_REQUEST;
  if (heap == nullptr) return false;
  count.blocks = 0;
  const std::uint64_t start = clock.start();
  while (count.blocks < request.region_bytes / size && memtool_heap_allocate(heap, size, 16) != nullptr) ++count.blocks;
  ticks = clock.stop() - start;
  result.status = memtool_heap_check(heap, result.message);
  memtool_heap_close(heap);
  return result.status == MEMTOOL_DONE;
}

}  // namespace

extern "C" [[gnu::visibility("default")]] std::uint32_t memtool_run(const ReplayRequest* request,
                                                                    ReplayResult* result) {
  Count count{};
  std::uint64_t ticks = 0;
  if (std::string_view(request->pass) == "footprint") {
    if (fill(*request, *result, count, ticks)) *static_cast<Count*>(request->figures) = count;
    return result->status;
  }
  Timings& timings = static_cast<Times*>(request->figures)->timings;
  for (std::uint32_t i = 0; i < request->warmups + request->iterations; ++i) {
    if (!fill(*request, *result, count, ticks)) return result->status;
    if (i >= request->warmups) timings.body_ticks[timings.iterations++] = ticks;
  }
  return result->status;
}
