// The kinds of work whose kernels are compiled once and open heaps through indirect calls.
#pragma once

#include "engine/abi/capi.h"

namespace memtool {

// Runs the request. Returns false if the kind is not one of these (entry.hpp lists those compiled for each strategy).
// Throws if the heap cannot be created.
bool run_kernel(const ReplayRequest& request, ReplayResult& result);

}  // namespace memtool
