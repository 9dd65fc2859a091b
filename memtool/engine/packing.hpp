// Offline dynamic storage allocation: given every block's life span and size beforehand, how little memory would do? No
// allocator knows as much, so what is found here is the limit that allocators are held against.
//
// The problem is NP-hard, and what is found is an upper bound of the optimum; the load, the greatest sum of sizes alive
// at once, is a lower one. Blocks are placed one by one, in an order that decides everything, each at the lowest
// address at which nothing is in its way (first fit) or into the tightest gap (best fit):
//   - few blocks: several orders by size and life span, then a local search that moves blocks which reach the top to an
//     earlier place in the order, for the heuristics: Moffitt, "MiniMalloc: a lightweight memory allocator for
//     hardware-accelerated machine learning", ASPLOS 2023, and Maas et al., "TelaMalloc", ASPLOS 2023;
//   - many: in order of time, as a heap without headers and rounding would, but with long-lived blocks at the bottom
//   and
//     short-lived ones at the top, which only who knows life spans can do, for the idea: Buchsbaum et al., "OPT versus
//     LOAD in dynamic storage allocation", SIAM J. Comput. 33(3), 2004.
// Nothing depends on the time that it takes or on the machine: the same blocks give the same packing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace memtool {

// A block that is alive in [lower, upper), in any unit of time; blocks that only meet at an instant may share memory.
struct Interval {
  std::uint64_t lower;
  std::uint64_t upper;
  std::uint64_t size;
};

struct Packing {
  std::uint64_t footprint = 0;         // greatest offset + size
  std::vector<std::uint64_t> offsets;  // of each interval, in their order
};

// The greatest sum of sizes that are alive at once.
std::uint64_t load_of(std::span<const Interval> intervals);

// The best packing found with about `work` steps, each some nanoseconds; there is one whatever `work` is.
Packing pack(std::span<const Interval> intervals, std::uint64_t work);

}  // namespace memtool
