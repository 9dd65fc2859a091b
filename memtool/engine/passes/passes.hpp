// The passes of a replay: THE list, one line each, on one thread and on several alike.
#pragma once

#include "engine/passes/calls.hpp"
#include "engine/passes/check.hpp"
#include "engine/passes/counters.hpp"
#include "engine/passes/footprint.hpp"
#include "engine/passes/heap.hpp"
#include "engine/passes/latency.hpp"
#include "engine/passes/throughput.hpp"

namespace memtool {

// `replayed`: Serial or Threaded.
template <class Replayed>
void run_pass(Replayed&& replayed) {
  if (!replayed.ready()) return;
  const std::uint32_t pass = replayed.request.pass;
  // These populate the region when they have read what was resident before.
  const bool needs_baseline = pass == MEMTOOL_FOOTPRINT || pass == MEMTOOL_HEAP;
  if (!needs_baseline && !replayed.populate()) return;
  switch (pass) {
    case MEMTOOL_CHECK:
      return check(replayed);
    case MEMTOOL_THROUGHPUT:
      return throughput(replayed);
    case MEMTOOL_LATENCY:
      return latency(replayed);
    case MEMTOOL_FOOTPRINT:
      return footprint(replayed);
    case MEMTOOL_COUNTERS:
      return counters(replayed);
    case MEMTOOL_HEAP:
      return heap(replayed);
    case MEMTOOL_CALLS:
      return calls(replayed);
    default:
      fail(replayed.result, MEMTOOL_BAD_REQUEST, "unknown pass %u", pass);
  }
}

}  // namespace memtool
