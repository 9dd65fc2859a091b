// First fit in address order.
#pragma once

#include <array>

#include "allocators/support/block_tree.hpp"
#include "allocators/support/physical_heap.hpp"
#include "engine/registry.hpp"

namespace memtool {

struct FirstFitPolicy {
  using Tree = BlockTree<TreeOrder::address>;
  static PhysicalBlock* take(Tree& tree, std::size_t bytes) noexcept {
    PhysicalBlock* block = tree.first_at_least(bytes, nullptr);
    if (block != nullptr) tree.remove(block, block->bytes());
    return block;
  }
  static std::size_t largest(const Tree& tree) noexcept { return tree.largest(); }
};

class FirstFit : public PhysicalHeap<FirstFitPolicy, FirstFitPolicy::Tree> {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "grow",
       .summary = "fewest bytes by which the heap grows",
       .default_value = 64 * 1024,
       .minimum = 16,
       .maximum = std::uint64_t{1} << 32},
  }};
  static constexpr StrategyInfo info{
      .name = "first-fit",
      .family = "free-list",
      .summary = "The lowest free block that is large enough; boundary tags, merged at once.",
      .source = "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5 (algorithm A)",
      .complexity = "allocate O(log n), deallocate O(log n) in n free blocks",
      .when = "long runs of mixed sizes: packs towards low addresses",
      .parameters = kParameters,
  };
  static Limits limits(const Parameters&) { return {}; }

  FirstFit(Region& region, const Parameters& parameters) noexcept : PhysicalHeap(region, 0, parameters["grow"]) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::FirstFit);
