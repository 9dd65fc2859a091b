// Placement in order of time, as a heap without headers and rounding would place, but within a capacity and with
// long-lived blocks at the low end of the tightest gap and short-lived ones at its high end, which only who knows life
// spans can do. For the idea: Buchsbaum et al., "OPT versus LOAD in dynamic storage allocation", SIAM J. Comput. 33(3),
// 2004.
#pragma once

#include <cstdint>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

// Into as many bytes as it takes, always into the tightest gap.
void place_in_time(const Instance& instance, Work& work, Offsets& best);

// Searches over capacities from `target`, and over what counts as long-lived.
void search_in_time(const Instance& instance, std::uint64_t target, Work& work, Offsets& best);

}  // namespace memtool::packing
