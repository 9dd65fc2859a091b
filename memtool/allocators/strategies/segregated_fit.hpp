// Segregated fit: an array of free lists, one for each size class, and first fit inside the class of the
// request.
//
// The class of the request itself is searched, since a block there may or may not be large enough; any block
// of a higher class is. So fewer blocks are passed over than in half-fit or TLSF, at the price of a search
// that nothing bounds.
#pragma once

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

class SegregatedFit : public PhysicalHeap<FirstInClass> {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "classes",
       .summary = "size classes in each power of two",
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
      .summary = "One free list for each size class, first fit inside the class, free neighbours merged at once.",
      .source =
          "Wilson, Johnstone, Neely, Boles: Dynamic storage allocation, a survey and critical review, 1995; "
          "Lea: A memory allocator, 1996",
      .complexity =
          "allocate O(1) where the class holds one size, else O(n) in the free blocks of the class; "
          "deallocate O(1)",
      .when = "general use: close to best fit at a fraction of its cost",
      .parameters = kParameters,
  };
  SegregatedFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, static_cast<unsigned>(parameters["classes"]), parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::SegregatedFit);
