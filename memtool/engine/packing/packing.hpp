// Offline dynamic storage allocation: given every block's life span and size beforehand, how little memory would do? No
// allocator knows as much, so what is found here is the limit that allocators are held against.
//
// The problem is NP-hard, and what is found is an upper bound of the optimum; the load, the greatest sum of sizes alive
// at once, is a lower one. What is found does not depend on the order of the blocks, on the unit of time, on how long
// it takes or on the machine. Spans of time that no block reaches out of are packed on their own, each in turn by
//   - placement in order of time (engine/packing/in_time.hpp);
//   - first fit in many orders (engine/packing/first_fit.hpp);
//   - where there are few blocks, unless they differ in alignment, two depth-first searches in turn, for ever longer:
//     from the bottom to the top (engine/packing/canonical.hpp) and over skylines of time (engine/packing/skyline.hpp).
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
  std::uint64_t alignment = 1;  // a power of two, which its offset is a multiple of
};

struct Packing {
  std::uint64_t footprint = 0;         // greatest offset + size
  std::vector<std::uint64_t> offsets;  // of each interval, in their order
};

// The greatest sum of sizes that are alive at once.
std::uint64_t load_of(std::span<const Interval> intervals);

// The best packing found with about `steps` steps, each about a nanosecond; there is one whatever `steps` is.
Packing pack(std::span<const Interval> intervals, std::uint64_t steps);

}  // namespace memtool
