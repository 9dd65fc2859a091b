// Two-level segregated fit: good fit in constant time, for programs that must know their worst case.
//
// A free block is in the list of the class to which its size belongs. A request is rounded up to the next class limit.
// So every block of the class found is large enough, and there is no search. With 32 classes in each power of two,
// rounding adds less than 1/32 of the request. Below 1 KiB each class holds one size, so nothing is rounded.
#pragma once

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

// The block is cut to the rounded size, as in the reference implementation. If it were cut to the exact size, a free
// would return it to a class below the one that the next request of that size searches.
struct RoundedGoodFit {
  [[gnu::always_inline]] static PhysicalBlock* take(SegregatedLists& lists, std::size_t& bytes) noexcept {
    const unsigned size_class = lists.ceiling_class(bytes);
    bytes = lists.ceiling_bytes(bytes);
    return lists.pop_at_or_above(size_class);
  }
  static std::size_t largest(const SegregatedLists& lists) noexcept { return GoodFit::largest(lists); }
};

class Tlsf : public PhysicalHeap<RoundedGoodFit> {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "subdivisions",
       .summary = "number of size classes in each power of two",
       .default_value = 2,
       .minimum = 0,
       .maximum = 3,
       .unit = "choice",
       .choices = "8|16|32|64"},
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "tlsf",
      .family = "real-time",
      .summary = "Two-level segregated fit: good fit in constant time; coalesces at once.",
      .source =
          "Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems, 2004; "
          "with Balbastre: A constant-time dynamic storage allocator for real-time systems, 2008",
      .complexity = "allocate O(1), deallocate O(1), whatever the number of free blocks",
      .when = "real-time and embedded programs: time is bounded and fragmentation low, for any size",
      .parameters = kParameters,
  };
  Tlsf(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, kLeastLog2Subdivisions + static_cast<unsigned>(parameters["subdivisions"]),
                     parameters["grow"], parameters["initial"]) {}

 private:
  static constexpr unsigned kLeastLog2Subdivisions = 3;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Tlsf);
