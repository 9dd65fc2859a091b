// Free blocks in a treap (Seidel and Aragon, "Randomized search trees", Algorithmica 16, 1996), by address or by size:
// what the classic fits search instead of a list, with the same answers in logarithmic time.
//
// A node lies in the free block itself, in the 16 bytes behind its tag: links are numbers of granules from the region's
// base, so a region may have 64 GiB. By address, each node also knows the largest block below it, and the leftmost
// block that is large enough is found by descending once.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/support/physical_block.hpp"
#include "engine/strategy.hpp"

namespace memtool {

enum class TreeOrder { address, size };

template <TreeOrder kOrder>
class BlockTree {
 public:
  static constexpr std::size_t kMostHeapBytes = (std::size_t{1} << 32) * PhysicalBlock::kGranule;

  BlockTree(unsigned, std::size_t) noexcept {}
  // The index needs no table of its own: only a place to count links from.
  [[nodiscard]] std::size_t table_bytes() const noexcept { return 0; }
  void place(std::byte* base) noexcept { base_ = base; }

  void insert(PhysicalBlock* block, std::size_t bytes) noexcept {
    Node* fresh = node(block);
    *fresh = {kNone, kNone, granules(bytes), next_priority()};
    const Link number = link(block);
    Link* at = &root_;
    // Down to where the fresh node's priority places it, raising the largest block on the way.
    while (*at != kNone && node(*at)->priority >= fresh->priority) {
      Node* here = node(*at);
      if constexpr (kOrder == TreeOrder::address) here->largest = std::max(here->largest, fresh->largest);
      at = before(number, granules(bytes), *at) ? &here->left : &here->right;
    }
    split(*at, number, granules(bytes), fresh->left, fresh->right);
    *at = number;
    update(number);
    ++free_blocks_;
  }

  void remove(PhysicalBlock* block, std::size_t bytes) noexcept {
    const Link number = link(block);
    remove_below(root_, number, granules(bytes));
    --free_blocks_;
  }

  // The first block by address with at least `bytes`, from `from` on (nullptr: from the start); nullptr: none.
  [[nodiscard]] PhysicalBlock* first_at_least(std::size_t bytes, const PhysicalBlock* from) const noexcept
    requires(kOrder == TreeOrder::address)
  {
    const Link found = leftmost(root_, granules(bytes), from == nullptr ? 0 : link(from));
    return found == kNone ? nullptr : block_at(found);
  }
  [[nodiscard]] std::size_t largest() const noexcept
    requires(kOrder == TreeOrder::address)
  {
    return root_ == kNone ? 0 : std::size_t{node(root_)->largest} * PhysicalBlock::kGranule;
  }

  // The smallest block with at least `bytes`, of equal ones the lowest; nullptr: none.
  [[nodiscard]] PhysicalBlock* smallest_at_least(std::size_t bytes) const noexcept
    requires(kOrder == TreeOrder::size)
  {
    Link found = kNone;
    for (Link at = root_; at != kNone;) {
      const bool enough = size_of(at) >= granules(bytes);
      if (enough) found = at;
      at = enough ? node(at)->left : node(at)->right;
    }
    return found == kNone ? nullptr : block_at(found);
  }
  [[nodiscard]] std::size_t largest() const noexcept
    requires(kOrder == TreeOrder::size)
  {
    Link at = root_;
    while (at != kNone && node(at)->right != kNone) at = node(at)->right;
    return at == kNone ? 0 : block_at(at)->bytes();
  }

  [[nodiscard]] std::size_t free_blocks() const noexcept { return free_blocks_; }

  template <class Visit>
  void for_each(Visit visit) const {
    visit_below(root_, visit);
  }

  void check() const {
    require(check_below(root_) == free_blocks_, "the tree does not hold as many blocks as it counts");
  }

 private:
  using Link = std::uint32_t;
  static constexpr Link kNone = ~Link{0};
  struct Node {
    Link left;
    Link right;
    std::uint32_t largest;  // granules, of this block and all below it; by size: of this block
    std::uint32_t priority;
  };

  [[nodiscard]] static std::uint32_t granules(std::size_t bytes) noexcept {
    // A search for more than there can be finds nothing.
    return static_cast<std::uint32_t>(std::min<std::size_t>(bytes / PhysicalBlock::kGranule, ~std::uint32_t{0}));
  }
  [[nodiscard]] Link link(const PhysicalBlock* block) const noexcept {
    const auto offset = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(block) - base_);
    return static_cast<Link>(offset / PhysicalBlock::kGranule);
  }
  // Blocks begin 8 bytes below a multiple of the granule, wherever the region does.
  [[nodiscard]] PhysicalBlock* block_at(Link at) const noexcept {
    return PhysicalBlock::at(base_ + std::size_t{at} * PhysicalBlock::kGranule +
                             (PhysicalBlock::kGranule - PhysicalBlock::kHeader));
  }
  [[nodiscard]] static Node* node(PhysicalBlock* block) noexcept { return reinterpret_cast<Node*>(block->payload()); }
  [[nodiscard]] Node* node(Link at) const noexcept { return node(block_at(at)); }
  [[nodiscard]] std::uint32_t size_of(Link at) const noexcept { return granules(block_at(at)->bytes()); }

  // Whether the block `number` of `size` granules comes before the one at `at`.
  [[nodiscard]] bool before(Link number, std::uint32_t size, Link at) const noexcept {
    if constexpr (kOrder == TreeOrder::address) return number < at;
    const std::uint32_t other = size_of(at);
    return size != other ? size < other : number < at;
  }

  // xorshift (Marsaglia, "Xorshift RNGs", JSS 8(14), 2003): the shape of the tree, and nothing else, depends on it.
  std::uint32_t next_priority() noexcept {
    seed_ ^= seed_ << 13;
    seed_ ^= seed_ >> 17;
    seed_ ^= seed_ << 5;
    return seed_;
  }

  void update(Link at) const noexcept {
    if constexpr (kOrder == TreeOrder::address) {
      Node* here = node(at);
      std::uint32_t largest = size_of(at);
      if (here->left != kNone) largest = std::max(largest, node(here->left)->largest);
      if (here->right != kNone) largest = std::max(largest, node(here->right)->largest);
      here->largest = largest;
    }
  }

  // Parts the tree at `at` into what comes before a block and what comes behind it.
  void split(Link at, Link number, std::uint32_t size, Link& left, Link& right) noexcept {
    if (at == kNone) {
      left = right = kNone;
    } else if (before(number, size, at)) {
      split(node(at)->left, number, size, left, node(at)->left);
      right = at;
      update(at);
    } else {
      split(node(at)->right, number, size, node(at)->right, right);
      left = at;
      update(at);
    }
  }

  [[nodiscard]] Link merge(Link left, Link right) noexcept {
    if (left == kNone) return right;
    if (right == kNone) return left;
    if (node(left)->priority >= node(right)->priority) {
      node(left)->right = merge(node(left)->right, right);
      update(left);
      return left;
    }
    node(right)->left = merge(left, node(right)->left);
    update(right);
    return right;
  }

  void remove_below(Link& at, Link number, std::uint32_t size) noexcept {
    if (at == number) {
      at = merge(node(at)->left, node(at)->right);
      return;
    }
    const Link here = at;
    remove_below(before(number, size, here) ? node(here)->left : node(here)->right, number, size);
    update(here);
  }

  [[nodiscard]] Link leftmost(Link at, std::uint32_t size, Link from) const noexcept {
    while (at != kNone && node(at)->largest >= size) {
      const Node* here = node(at);
      if (at < from) {
        at = here->right;
        continue;
      }
      // Only along the edge at `from` may the left side fail although it holds a large block.
      if (here->left != kNone && node(here->left)->largest >= size) {
        const Link found = leftmost(here->left, size, from);
        if (found != kNone) return found;
      }
      if (size_of(at) >= size) return at;
      at = here->right;
    }
    return kNone;
  }

  template <class Visit>
  void visit_below(Link at, Visit& visit) const {
    if (at == kNone) return;
    visit_below(node(at)->left, visit);
    visit(block_at(at));
    visit_below(node(at)->right, visit);
  }

  std::size_t check_below(Link at) const {
    if (at == kNone) return 0;
    const Node* here = node(at);
    std::uint32_t largest = size_of(at);
    for (const Link below : {here->left, here->right}) {
      if (below == kNone) continue;
      require(node(below)->priority <= here->priority, "the tree is not a heap by priority");
      require(before(below, size_of(below), at) == (below == here->left), "the tree is out of order");
      largest = std::max(largest, node(below)->largest);
    }
    if constexpr (kOrder == TreeOrder::address)
      require(here->largest == largest, "a node is wrong about the largest block below it");
    return 1 + check_below(here->left) + check_below(here->right);
  }

  std::byte* base_ = nullptr;
  Link root_ = kNone;
  std::size_t free_blocks_ = 0;
  std::uint32_t seed_ = 2463534242;
};

}  // namespace memtool
