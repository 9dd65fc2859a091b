// Heap events replayed on device memory: each allocation the driver's own, or a place in one buffer that a strategy
// hands out. The processor reaches none of it: the strategy's metadata lies in host memory.
#pragma once

#include "engine/replay/kernel.hpp"

namespace memtool::device {

void run(KernelCall& call);

}  // namespace memtool::device
