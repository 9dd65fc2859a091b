// Next fit: first fit in address order, going on where the last search ended.
#pragma once

#include <array>

#include "allocators/support/block_tree.hpp"
#include "allocators/support/physical_heap.hpp"
#include "engine/registry.hpp"

namespace memtool {

// The tree, and the place where the last search ended. A block that is merged away moves the rover with it, since it is
// an address and not a block.
class RovingTree : public BlockTree<TreeOrder::address> {
 public:
  using BlockTree::BlockTree;

  PhysicalBlock* take(std::size_t bytes) noexcept {
    PhysicalBlock* block = first_at_least(bytes, rover_);
    if (block == nullptr) block = first_at_least(bytes, nullptr);
    if (block == nullptr) return nullptr;
    remove(block, block->bytes());
    rover_ = block;
    return block;
  }

 private:
  const PhysicalBlock* rover_ = nullptr;
};

struct NextFitPolicy {
  static PhysicalBlock* take(RovingTree& tree, std::size_t bytes) noexcept { return tree.take(bytes); }
  static std::size_t largest(const RovingTree& tree) noexcept { return tree.largest(); }
};

class NextFit : public PhysicalHeap<NextFitPolicy, RovingTree> {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "grow",
       .summary = "fewest bytes by which the heap grows",
       .default_value = 64 * 1024,
       .minimum = 16,
       .maximum = std::uint64_t{1} << 32},
  }};
  static constexpr StrategyInfo info{
      .name = "next-fit",
      .family = "free-list",
      .summary = "First fit from where the last search ended; boundary tags, merged at once.",
      .source = "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5, exercise 6",
      .complexity = "allocate O(log n), deallocate O(log n) in n free blocks",
      .when = "to compare with first fit: it spreads blocks over the heap and fragments it more",
      .parameters = kParameters,
  };
  static Limits limits(const Parameters&) { return {}; }

  NextFit(Region& region, const Parameters& parameters) noexcept : PhysicalHeap(region, 0, parameters["grow"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::NextFit);
