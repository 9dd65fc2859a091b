// Compiled once for each shard, with MEMTOOL_SHARD and MEMTOOL_SHARDS: every strategy with every probe.
#include "engine/registry/entry.hpp"

// The last line of each strategy's header now registers the strategy.
#undef MEMTOOL_STRATEGY
#define MEMTOOL_STRATEGY_AT(TYPE, ORDER)                                                               \
  namespace {                                                                                          \
  const ::memtool::Registration<TYPE, ORDER, ORDER % MEMTOOL_SHARDS == MEMTOOL_SHARD, MEMTOOL_INLINED> \
      registration_##ORDER;                                                                            \
  }
#define MEMTOOL_STRATEGY_EXPANDED(TYPE, ORDER) MEMTOOL_STRATEGY_AT(TYPE, ORDER)
#define MEMTOOL_STRATEGY(TYPE) MEMTOOL_STRATEGY_EXPANDED(TYPE, __COUNTER__) static_assert(::memtool::Strategy<TYPE>)

#include MEMTOOL_STRATEGIES_HEADER
