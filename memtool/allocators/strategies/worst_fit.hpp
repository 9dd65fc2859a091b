// Worst fit; among blocks of the same size, the one at the lowest address.
#pragma once

#include <array>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/physical_heap.hpp"
#include "allocators/support/physical/size_index.hpp"

namespace memtool {

struct WorstFitPolicy {
  [[gnu::always_inline]] static PhysicalBlock* take(SizeIndex& index, std::size_t bytes) noexcept {
    PhysicalBlock* block = index.largest_block();
    if (block == nullptr || block->bytes() < bytes) return nullptr;
    index.remove(block, block->bytes());
    return block;
  }
  static std::size_t largest(const SizeIndex& index) noexcept { return index.largest(); }
};

class WorstFit : public PhysicalHeap<WorstFitPolicy, SizeIndex> {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "worst-fit",
      .family = "free-list",
      .summary = "Takes the largest free block, the lowest among equals; coalesces at once.",
      .source = "Wilson et al., Dynamic storage allocation: a survey and critical review, IWMM 1995, 3.5",
      .complexity = "allocate O(log n), deallocate O(log n), for n free blocks of one size",
      .when = "comparison with other fits: remainders stay large, but soon no block is large enough",
      .parameters = kParameters,
  };
  WorstFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, 0, parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::WorstFit);
