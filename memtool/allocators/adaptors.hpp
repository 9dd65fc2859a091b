// The adaptors, in the order in which they are listed to the user. What stands here with a second name is compiled into
// a replay loop of its own when it is the outermost.
#pragma once

#include "allocators/adaptors/lock.hpp"
#include "allocators/adaptors/virtual.hpp"
#include "engine/adaptor.hpp"

#define MEMTOOL_ADAPTORS entry_of<VirtualCall>(), entry_of<Lock, Lock>()
