// The kind of work `construct`: objects are made, used and ended, in one of many ways.
#pragma once

#include "engine/replay/kernel.hpp"

namespace memtool::construct {

void run(KernelCall& call);

}  // namespace memtool::construct
