// Compiled once for each shard, with MEMTOOL_SHARD and MEMTOOL_SHARDS: every strategy with every probe.
#include "engine/replay/runner.hpp"
#include MEMTOOL_STRATEGIES_HEADER
