// First fit in address order.
#pragma once

#include <array>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/address_index.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

struct FirstFitPolicy {
  [[gnu::always_inline]] static PhysicalBlock* take(AddressIndex& index, std::size_t bytes) noexcept {
    PhysicalBlock* block = index.first_at_least(bytes, nullptr);
    if (block != nullptr) index.remove(block, bytes);
    return block;
  }
  static std::size_t largest(const AddressIndex& index) noexcept { return index.largest(); }
};

class FirstFit : public PhysicalHeap<FirstFitPolicy, AddressIndex> {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "first-fit",
      .family = "free-list",
      .summary = "Takes the free block with the lowest address that fits; boundary tags, coalesces at once.",
      .source = "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5 (algorithm A)",
      .complexity = "allocate O(log m), deallocate O(log m), for m bytes of heap; the logarithms are to base 16",
      .when = "long runs of mixed sizes, because it packs blocks towards low addresses",
      .parameters = kParameters,
  };
  FirstFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, 0, parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::FirstFit);
