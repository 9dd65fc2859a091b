// Half-fit: the first allocator with a constant worst case. TLSF refines it.
//
// There is one free list for each power of two. A request of r bytes looks only at lists whose blocks all have at least
// 2^ceil(log2 r) bytes, so every block found fits. But it may skip a block that would fit, even one up to twice as
// large as the request; hence the name. Ogasawara calls this loss incomplete memory use.
#pragma once

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

class HalfFit : public PhysicalHeap<GoodFit> {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "half-fit",
      .family = "real-time",
      .summary = "One free list for each power of two; a request looks only at lists in which every block fits.",
      .source = "Ogasawara: An algorithm with constant execution time for dynamic storage allocation, RTCSA 1995",
      .complexity = "allocate O(1), deallocate O(1), whatever the number of free blocks",
      .when = "bounded time with the smallest table; it skips fitting blocks of up to twice the request",
      .parameters = kParameters,
  };
  HalfFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, 0, parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::HalfFit);
