// What an access to memory costs, over the blocks that an allocator gave and over memory of one's own: ways.hpp has the
// list. Compiled once: heaps are reached through indirect calls, and no call of theirs is timed but where a way says
// so.
#pragma once

#include "engine/replay/kernel.hpp"

namespace memtool::access {

void run(KernelCall& call);

}  // namespace memtool::access
