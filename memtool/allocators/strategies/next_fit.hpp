// Next fit: first fit in address order, starting where the last search ended.
#pragma once

#include <array>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/physical/address_index.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

// The index of free blocks with a roving pointer: the block at which the last search ended, or the free block into
// which that block was coalesced.
class RovingIndex : public AddressIndex {
 public:
  using AddressIndex::AddressIndex;

  void insert(PhysicalBlock* block, std::size_t bytes) noexcept {
    if (rover_ > block && rover_ < block->after(bytes)) rover_ = block;
    AddressIndex::insert(block, bytes);
  }

  PhysicalBlock* take(std::size_t bytes) noexcept {
    PhysicalBlock* block = first_at_least(bytes, rover_);
    if (block == nullptr && rover_ != nullptr) block = first_at_least(bytes, nullptr);
    if (block == nullptr) return nullptr;
    remove(block, bytes);
    rover_ = block;
    return block;
  }

 private:
  const PhysicalBlock* rover_ = nullptr;
};

struct NextFitPolicy {
  [[gnu::always_inline]] static PhysicalBlock* take(RovingIndex& index, std::size_t bytes) noexcept {
    return index.take(bytes);
  }
  static std::size_t largest(const RovingIndex& index) noexcept { return index.largest(); }
};

class NextFit : public PhysicalHeap<NextFitPolicy, RovingIndex> {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      kGrow,
      kInitial,
  }};
  static constexpr StrategyInfo info{
      .name = "next-fit",
      .family = "free-list",
      .summary = "First fit, starting where the last search ended; boundary tags, coalesces at once.",
      .source = "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5, exercise 6",
      .complexity = "allocate O(log m), deallocate O(log m), for m bytes of heap; the logarithms are to base 16",
      .when = "comparison with first fit: it spreads blocks over the heap and fragments it more",
      .parameters = kParameters,
  };
  NextFit(Region& region, const Parameters& parameters)
      : PhysicalHeap(region, 0, parameters["grow"], parameters["initial"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::NextFit);
