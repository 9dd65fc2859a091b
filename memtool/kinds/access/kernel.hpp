// Measures the cost of accesses to memory, in blocks from an allocator and in memory of the harness; ways.hpp has the
// list. It is compiled once: heaps are reached through indirect calls, and their calls are timed only if a way says so.
#pragma once

#include "engine/replay/kernel.hpp"

namespace memtool::access {

void run(KernelCall& call);

}  // namespace memtool::access
