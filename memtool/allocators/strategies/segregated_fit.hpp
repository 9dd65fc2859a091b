// Segregated fit: an array of free lists, one for each size class, with first fit inside the class of the request.
//
// A block in the class of the request may or may not be large enough, so that class is searched. Any block of a higher
// class fits. So segregated fit skips fewer fitting blocks than half-fit or TLSF, but the length of its search is
// unbounded.
#pragma once

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

class SegregatedFit : public PhysicalHeap<FirstInClass> {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "classes",
       .summary = "number of size classes in each power of two",
       .default_value = 4,
       .minimum = 0,
       .maximum = 5,
       .unit = "choice",
       .choices = "1|2|4|8|16|32"},
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "segregated-fit",
      .family = "real-time",
      .summary = "A free list for each size class, with first fit inside the class; coalesces at once.",
      .source =
          "Wilson, Johnstone, Neely, Boles: Dynamic storage allocation, a survey and critical review, 1995; "
          "Lea: A memory allocator, 1996",
      .complexity =
          "allocate O(1) if all blocks of the class have one size, otherwise O(n), for n free blocks in the class; "
          "deallocate O(1)",
      .when = "general use: it is close to best fit at a fraction of the cost",
      .parameters = kParameters,
  };
  SegregatedFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, static_cast<unsigned>(parameters["classes"]), parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::SegregatedFit);
