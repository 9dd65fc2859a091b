// Best fit, ties by address.
#pragma once

#include <array>

#include "allocators/support/physical_heap.hpp"
#include "allocators/support/size_index.hpp"
#include "engine/replay/registry.hpp"

namespace memtool {

struct BestFitPolicy {
  [[gnu::always_inline]] static PhysicalBlock* take(SizeIndex& index, std::size_t bytes) noexcept {
    PhysicalBlock* block = index.smallest_at_least(bytes);
    if (block != nullptr) index.remove(block, block->bytes());
    return block;
  }
  static std::size_t largest(const SizeIndex& index) noexcept { return index.largest(); }
};

class BestFit : public PhysicalHeap<BestFitPolicy, SizeIndex> {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "grow",
       .summary = "fewest bytes by which the heap grows; 0: never",
       .default_value = 64 * 1024,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 32},
      {.name = "initial",
       .summary = "what the heap begins with, its tables included: one pool, whose block is on its list; 0: nothing",
       .default_value = 0,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 40},
  }};
  static constexpr StrategyInfo info{
      .name = "best-fit",
      .family = "free-list",
      .summary = "The smallest free block that is large enough, of equal ones the lowest; merged at once.",
      .source = "Wilson et al., Dynamic storage allocation: a survey and critical review, IWMM 1995, 3.5",
      .complexity = "allocate O(log n), deallocate O(log n) in n free blocks of one size",
      .when = "mixed sizes where memory is tight",
      .parameters = kParameters,
  };
  static Limits limits(const Parameters&) { return {}; }

  BestFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, 0, parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::BestFit);
