// std::pmr::synchronized_pool_resource.
#pragma once

#include <memory_resource>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/pmr_pool.hpp"

namespace memtool {

class PmrSynchronizedPool : public PmrPool<std::pmr::synchronized_pool_resource> {
 public:
  static constexpr StrategyInfo info{
      .name = "pmr-synchronized-pool",
      .family = "pmr",
      .summary = "std::pmr::synchronized_pool_resource: pools for each thread, under a lock, over an upstream.",
      .source = "ISO C++20, [mem.res.pool]; measured by Lakos et al., N4468 and P0089, 2015",
      .complexity = "as pmr-unsynchronized-pool, and a shared lock",
      .when = "node containers and strings of several threads; on one thread, the cost of the lock",
      .parameters = kParameters,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::pointer,
  };
  using PmrPool::PmrPool;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::PmrSynchronizedPool);
