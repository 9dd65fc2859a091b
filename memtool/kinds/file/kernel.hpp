// Files that are read and written by calls, by io_uring and by mappings; kernel.cpp has the list. No way takes memory
// from an allocator.
#pragma once

#include "engine/replay/kernel.hpp"

namespace memtool::file {

void run(KernelCall& call);

}  // namespace memtool::file
