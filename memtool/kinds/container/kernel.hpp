// The kernel of containers: replays a script of operations on standard containers over the heap of a row.
#pragma once

#include <cstdint>

#include "engine/replay/kernel.hpp"
#include "kinds/container/image.hpp"

namespace memtool::containers {

// results.py has the same.
struct TimesFigures {
  std::uint64_t threads;  // none
  Timings timings;
  std::uint64_t ticks[kGroups];  // of the fastest of each
  std::uint64_t units[kGroups];
};
struct Locality {
  std::uint64_t elements;
  std::uint64_t lines;  // of 64 bytes, each counted once for each container that has something in it
  std::uint64_t jumps;  // to a line that is neither the one before nor the next
};
struct FootprintFigures {
  std::uint64_t allocations;
  std::uint64_t asked_bytes;
  std::uint64_t peak_live_bytes;
  std::uint64_t peak_blocks;
  std::uint64_t peak_footprint_bytes;  // ~0: the heap is not on the region
  std::uint64_t peak_resident_bytes;
  Locality fresh;    // of the last traversal before anything was taken away
  Locality churned;  // and of the last one behind that
};

void run(KernelCall& call);

}  // namespace memtool::containers
