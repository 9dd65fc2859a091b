// The kernel of containers: replays a script of operations on standard containers over the heap of a row.
#pragma once

#include <cstdint>

#include "engine/replay/kernel.hpp"
#include "kinds/container/image.hpp"

namespace memtool::containers {

// results.py declares the same structure.
struct TimesFigures {
  std::uint64_t threads;  // none
  Timings timings;
  std::uint64_t ticks[kGroups];  // of the fastest replay of each group
  std::uint64_t units[kGroups];
};
struct Locality {
  std::uint64_t elements;
  std::uint64_t lines;  // cache lines of 64 bytes, counted once for each container with data in it
  std::uint64_t jumps;  // accesses to a line that is neither the previous one nor next to it
};
struct FootprintFigures {
  std::uint64_t allocations;
  std::uint64_t asked_bytes;
  std::uint64_t peak_live_bytes;
  std::uint64_t peak_blocks;
  std::uint64_t peak_footprint_bytes;  // ~0: the heap does not use the region
  std::uint64_t peak_resident_bytes;
  Locality fresh;    // in the last traversal before any removal
  Locality churned;  // in the last traversal after removals
};

void run(KernelCall& call);

}  // namespace memtool::containers
