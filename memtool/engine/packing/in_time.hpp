// Placement in the order of time, as in a heap without headers and rounding, but within a capacity. Long-lived blocks
// go to the low end of the tightest gap and short-lived ones to its high end, which requires knowledge of all
// lifetimes. The idea is from Buchsbaum et al., "OPT versus LOAD in dynamic storage allocation", SIAM J. Comput. 33(3),
// 2004.
#pragma once

#include <cstdint>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

// Uses as many bytes as needed, and always the tightest gap.
void place_in_time(const Instance& instance, Work& work, Offsets& best);

// Searches over capacities from `target` upwards, and over the threshold for long-lived blocks.
void search_in_time(const Instance& instance, std::uint64_t target, Work& work, Offsets& best);

}  // namespace memtool::packing
