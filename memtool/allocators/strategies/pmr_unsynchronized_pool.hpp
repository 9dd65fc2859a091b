// std::pmr::unsynchronized_pool_resource.
#pragma once

#include <memory_resource>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/pmr_pool.hpp"

namespace memtool {

class PmrUnsynchronizedPool : public PmrPool<std::pmr::unsynchronized_pool_resource> {
 public:
  static constexpr StrategyInfo info{
      .name = "pmr-unsynchronized-pool",
      .family = "pmr",
      .summary = "std::pmr::unsynchronized_pool_resource: a pool for each size over an upstream; one thread.",
      .source = "ISO C++20, [mem.res.pool]; measured by Lakos et al., N4468 and P0089, 2015",
      .complexity =
          "a virtual call and a search of the pools' sizes; allocate O(1) amortised, deallocate a search of the pool's "
          "chunks",
      .when = "node containers and strings of one thread, behind the interfaces of the standard library",
      .parameters = kParameters,
      .uses_malloc = true,
      .route = CallRoute::pointer,
  };
  using PmrPool::PmrPool;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::PmrUnsynchronizedPool);
