// Offline dynamic storage allocation: how little memory suffices if the lifetime and size of every block are known in
// advance? No allocator knows this, so the result is the bound against which allocators are compared.
//
// The problem is NP-hard. The result is an upper bound of the optimum; the load, the largest sum of sizes alive at
// once, is a lower bound. The result does not depend on the order of the blocks, the unit of time, the machine or its
// speed. Blocks that are connected in time are packed separately from the others, by each of these in turn:
//   - placement in the order of time (engine/packing/in_time.hpp);
//   - first fit in many orders (engine/packing/first_fit.hpp);
//   - for few blocks with equal alignment, two depth-first searches that alternate for increasing times: from the
//     bottom to the top (engine/packing/canonical.hpp) and over skylines of time (engine/packing/skyline.hpp).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace memtool {

// A block that is alive in [lower, upper), in any unit of time. Blocks whose lifetimes only touch may share memory.
struct Interval {
  std::uint64_t lower;
  std::uint64_t upper;
  std::uint64_t size;
  std::uint64_t alignment = 1;  // a power of two; the offset is a multiple of it
};

struct Packing {
  std::uint64_t footprint = 0;         // largest offset + size
  std::vector<std::uint64_t> offsets;  // for each interval, in their order
};

// The largest sum of sizes that are alive at once.
std::uint64_t load_of(std::span<const Interval> intervals);

// Returns the best packing found with about `steps` steps, each about a nanosecond. It always finds one, whatever
// `steps` is.
Packing pack(std::span<const Interval> intervals, std::uint64_t steps);

}  // namespace memtool
