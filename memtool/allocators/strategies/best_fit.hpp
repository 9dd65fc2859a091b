// Best fit; among blocks of the same size, the one at the lowest address.
#pragma once

#include <array>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/physical_heap.hpp"
#include "allocators/support/physical/size_index.hpp"

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
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "best-fit",
      .family = "free-list",
      .summary = "Takes the smallest free block that fits, the lowest among equals; coalesces at once.",
      .source = "Wilson et al., Dynamic storage allocation: a survey and critical review, IWMM 1995, 3.5",
      .complexity = "allocate O(log n), deallocate O(log n), for n free blocks of one size",
      .when = "mixed sizes in little memory",
      .parameters = kParameters,
  };
  BestFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, 0, parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::BestFit);
