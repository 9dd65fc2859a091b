// Two-level segregated fit: good fit in constant time, for programs that must know their worst case.
//
// A free block is kept in the class its size belongs to; a request is rounded up to the next class limit, so
// that every block of the class found is large enough and nothing is searched. With 32 classes in each power
// of two the rounding is at most 1/32 of the request; it costs no memory, for what is not needed is split
// off.
#pragma once

#include "allocators/support/physical_heap.hpp"
#include "engine/registry.hpp"

namespace memtool {

class Tlsf : public PhysicalHeap<GoodFit> {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "subdivisions",
       .summary = "size classes in each power of two",
       .default_value = 2,
       .minimum = 0,
       .maximum = 3,
       .unit = "choice",
       .choices = "8|16|32|64"},
      {.name = "grow",
       .summary = "fewest bytes by which the heap grows",
       .default_value = 64 * 1024,
       .minimum = 16,
       .maximum = std::uint64_t{1} << 32},
  }};
  static constexpr StrategyInfo info{
      .name = "tlsf",
      .family = "real-time",
      .summary = "Two-level segregated fit: good fit in constant time, free neighbours merged at once.",
      .source =
          "Masmano, Ripoll, Crespo, Real: TLSF, a new dynamic memory allocator for real-time systems, ECRTS "
          "2004",
      .complexity = "O(1) to allocate and to deallocate, whatever is free",
      .when = "real-time and embedded programs: bounded time, little fragmentation, any size",
      .parameters = kParameters,
  };
  static Limits limits(const Parameters&) { return {}; }

  Tlsf(Region& region, const Parameters& parameters) noexcept
      : PhysicalHeap(region, kLeastLog2Subdivisions + static_cast<unsigned>(parameters["subdivisions"]),
                     parameters["grow"]) {}

 private:
  static constexpr unsigned kLeastLog2Subdivisions = 3;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Tlsf);
