// The adaptors, in the order in which the user sees them. An adaptor that is listed here with a second name is compiled
// into its own replay loop when it is the outermost one.
#pragma once

#include "allocators/adaptors/as_malloc.hpp"
#include "allocators/adaptors/fill.hpp"
#include "allocators/adaptors/guard.hpp"
#include "allocators/adaptors/leak.hpp"
#include "allocators/adaptors/lock.hpp"
#include "allocators/adaptors/pad.hpp"
#include "allocators/adaptors/quarantine.hpp"
#include "allocators/adaptors/redzone.hpp"
#include "allocators/adaptors/track.hpp"
#include "allocators/adaptors/virtual.hpp"
#include "allocators/concept/adaptor.hpp"

#define MEMTOOL_ADAPTORS                                                                                     \
  entry_of<VirtualCall>(), entry_of<AsMalloc>(), entry_of<Lock, Lock>(), entry_of<Pad>(), entry_of<Track>(), \
      entry_of<Leak>(), entry_of<Fill>(), entry_of<Redzone>(), entry_of<Guard>(), entry_of<Quarantine>()
