// Heap events replayed on device memory. Each allocation is the driver's own, or a place that a strategy assigns in one
// buffer. The processor accesses none of it; the strategy's metadata lies in host memory.
#pragma once

#include "engine/replay/kernel.hpp"

namespace memtool::device {

void run(KernelCall& call);

}  // namespace memtool::device
