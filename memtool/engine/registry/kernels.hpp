// The kinds of work whose kernels are compiled once, and open heaps by indirect calls.
#pragma once

#include "engine/abi/capi.h"

namespace memtool {

// Does what is asked for; false: the kind is not one of these (entry.hpp has those compiled for each strategy). Throws
// what stands in the way of making the heap.
bool run_kernel(const ReplayRequest& request, ReplayResult& result);

}  // namespace memtool
