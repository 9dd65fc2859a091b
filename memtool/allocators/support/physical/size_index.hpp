// Free blocks by size, and blocks of one size by address, for policies that take the smallest or the largest.
//
// Every size below 16 KiB has its own tree, and a bitmap marks the trees that are not empty; larger blocks share one
// tree. The trees are digital (Knuth, TAOCP 3, 6.3, algorithm D; as the bins in Lea's malloc 2.8): the leading bits of
// its key determine a node's place. So there is no balancing; an insertion is one descent, and a removal puts a leaf in
// the place of the node. Keys are addresses, and sizes with addresses in the shared tree, both in granules.
//
// A node lies in the free block itself, in the 16 bytes behind its tag. Links are numbers of granules from the region's
// base, so a region may have 64 GiB.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/physical/physical_block.hpp"

namespace memtool {

class SizeIndex {
 public:
  static constexpr std::size_t kMostHeapBytes = (std::size_t{1} << 32) * PhysicalBlock::kGranule;

  SizeIndex(unsigned, std::size_t) noexcept { roots_.fill(kNone); }
  // No part of the index lies in the region; it needs only the region's base.
  [[nodiscard]] std::size_t table_bytes() const noexcept { return 0; }
  void place(std::byte* base) noexcept { base_ = base; }
  [[nodiscard]] std::size_t apart_bytes(std::size_t = 0) const noexcept { return sizeof(roots_) + sizeof(words_); }

  void insert(PhysicalBlock* block, std::size_t bytes) noexcept {
    const Link number = link(block);
    const std::size_t size = bytes / PhysicalBlock::kGranule;
    if ((number | size) >> link_bits_ != 0) [[unlikely]]
      widen(number | size);
    const unsigned bin = bin_of(size);
    words_[bin / kWordBits] |= std::uint64_t{1} << bin % kWordBits;
    summary_ |= 1u << bin / kWordBits;
    ++free_blocks_;
    *node(number) = {{kNone, kNone}, kNone};
    if (bin == kCommon) {
      insert_below<true>(roots_[bin], number);
    } else {
      insert_below<false>(roots_[bin], number);
    }
  }

  void remove(PhysicalBlock* block, std::size_t bytes) noexcept {
    const unsigned bin = bin_of(bytes / PhysicalBlock::kGranule);
    --free_blocks_;
    unlink(bin, link(block));
    if (roots_[bin] != kNone) return;
    words_[bin / kWordBits] &= ~(std::uint64_t{1} << bin % kWordBits);
    if (words_[bin / kWordBits] == 0) summary_ &= ~(1u << bin / kWordBits);
  }

  // Returns the smallest block with at least `bytes`, the lowest among equals; nullptr if there is none.
  [[nodiscard]] PhysicalBlock* smallest_at_least(std::size_t bytes) const noexcept {
    const std::size_t size = bytes / PhysicalBlock::kGranule;
    const unsigned bin = lowest_from(bin_of(size));
    if (bin == kBins) return nullptr;
    const Link best = bin == kCommon ? least_from<true>(roots_[bin], std::uint64_t{size} << kLinkBits)
                                     : least_below<false>(roots_[bin], roots_[bin]);
    return best == kNone ? nullptr : block_at(best);
  }
  // Returns the largest block, the lowest among equals; nullptr if there is none.
  [[nodiscard]] PhysicalBlock* largest_block() const noexcept {
    if (summary_ == 0) return nullptr;
    const unsigned word = bits::log2_floor(summary_);
    const unsigned bin = word * kWordBits + bits::log2_floor(words_[word]);
    if (bin != kCommon) return block_at(least_below<false>(roots_[bin], roots_[bin]));
    std::size_t most = 0;
    for (Link at = roots_[bin]; at != kNone; at = other_child(at, 1)) most = std::max(most, size_of(at));
    return block_at(least_from<true>(roots_[bin], std::uint64_t{most} << kLinkBits));
  }
  [[nodiscard]] std::size_t largest() const noexcept {
    const PhysicalBlock* block = largest_block();
    return block == nullptr ? 0 : block->bytes();
  }

  [[nodiscard]] std::size_t free_blocks() const noexcept { return free_blocks_; }

  template <class Visit>
  void for_each(Visit visit) const {
    for (unsigned bin = 0; bin < kBins; ++bin) visit_below(roots_[bin], visit);
  }

  void check() const {
    std::size_t blocks = 0;
    for (unsigned bin = 0; bin < kBins; ++bin) {
      const bool marked = (words_[bin / kWordBits] >> bin % kWordBits & 1) != 0;
      require(marked == (roots_[bin] != kNone), "the bitmap does not say which sizes have free blocks");
      blocks += check_below(bin, roots_[bin], kNone, static_cast<int>(top_bit(bin)), 0);
    }
    for (unsigned word = 0; word < kWords; ++word)
      require((summary_ >> word & 1) == (words_[word] != 0), "the bitmap's upper level does not fit its lower one");
    require(blocks == free_blocks_, "the trees do not hold as many blocks as are counted");
  }

 private:
  using Link = std::uint32_t;
  static constexpr Link kNone = ~Link{0};
  static constexpr unsigned kLinkBits = 32;
  static constexpr unsigned kWordBits = 64;
  static constexpr unsigned kWords = 16;
  static constexpr unsigned kBins = kWords * kWordBits;  // the index of a bin is the size in granules
  static constexpr unsigned kCommon = kBins - 1;         // holds all larger sizes
  struct Node {
    std::array<Link, 2> below;
    Link above;
  };

  [[nodiscard]] static unsigned bin_of(std::size_t size) noexcept {
    return static_cast<unsigned>(std::min<std::size_t>(size, kCommon));
  }
  [[nodiscard]] Link link(const PhysicalBlock* block) const noexcept {
    const auto offset = static_cast<std::size_t>(reinterpret_cast<const std::byte*>(block) - base_);
    return static_cast<Link>(offset / PhysicalBlock::kGranule);
  }
  // Blocks begin 8 bytes below a multiple of the granule, wherever the region begins.
  [[nodiscard]] PhysicalBlock* block_at(Link at) const noexcept {
    return PhysicalBlock::at(base_ + std::size_t{at} * PhysicalBlock::kGranule +
                             (PhysicalBlock::kGranule - PhysicalBlock::kHeader));
  }
  [[nodiscard]] Node* node(Link at) const noexcept { return reinterpret_cast<Node*>(block_at(at)->payload()); }
  [[nodiscard]] std::size_t size_of(Link at) const noexcept { return block_at(at)->bytes() / PhysicalBlock::kGranule; }
  template <bool kSized>
  [[nodiscard]] std::uint64_t key(Link at) const noexcept {
    return kSized ? std::uint64_t{size_of(at)} << kLinkBits | at : at;
  }
  // The first bit in which keys of a tree may differ.
  [[nodiscard]] unsigned top_bit(unsigned bin) const noexcept {
    return (bin == kCommon ? kLinkBits : 0) + link_bits_ - 1;
  }
  // Returns the child on that side, or the only child.
  [[nodiscard]] Link other_child(Link at, unsigned side) const noexcept {
    const Node* at_node = node(at);
    return at_node->below[side] != kNone ? at_node->below[side] : at_node->below[1 - side];
  }

  template <bool kSized>
  void insert_below(Link& root, Link number) noexcept {
    if (root == kNone) {
      root = number;
      return;
    }
    const std::uint64_t own_key = key<kSized>(number);
    Link at = root;
    for (unsigned bit = top_bit(kSized ? kCommon : 0);; --bit) {
      Link& below = node(at)->below[own_key >> bit & 1];
      if (below == kNone) {
        below = number;
        node(number)->above = at;
        return;
      }
      at = below;
    }
  }

  void unlink(unsigned bin, Link at) noexcept {
    Node* at_node = node(at);
    Link leaf = at;
    for (Link below = other_child(at, 1); below != kNone; below = other_child(below, 1)) leaf = below;
    Link heir = kNone;
    if (leaf != at) {  // any leaf below shares with the node all bits that determine its place
      heir = leaf;
      Node* heir_node = node(leaf);
      Node* parent = node(heir_node->above);
      parent->below[parent->below[1] == leaf] = kNone;
      *heir_node = *at_node;
      for (const Link below : heir_node->below)
        if (below != kNone) node(below)->above = leaf;
    }
    if (at_node->above == kNone) {
      roots_[bin] = heir;
    } else {
      Node* parent = node(at_node->above);
      parent->below[parent->below[1] == at] = heir;
    }
  }

  // Called when the heap or a block has grown beyond what the first bits of the keys can represent. Each tree gets
  // another level on top, because all keys so far have a 0 there.
  [[gnu::noinline]] void widen(std::size_t value) noexcept {
    while (value >> link_bits_ != 0) {
      ++link_bits_;
      for (unsigned bin = 0; bin < kBins; ++bin) {
        const Link top = roots_[bin];
        if (top == kNone) continue;
        unlink(bin, top);
        const Link rest = roots_[bin];
        *node(top) = {{rest, kNone}, kNone};
        if (rest != kNone) node(rest)->above = top;
        roots_[bin] = top;
      }
    }
  }

  // Returns the least key in the subtree at `at`, or `least`.
  template <bool kSized>
  [[nodiscard]] Link least_below(Link at, Link least) const noexcept {
    for (; at != kNone; at = other_child(at, 0))
      if (key<kSized>(at) < key<kSized>(least)) least = at;
    return least;
  }
  // Returns the least key >= `least_key`, or kNone if there is none.
  template <bool kSized>
  [[nodiscard]] Link least_from(Link root, std::uint64_t least_key) const noexcept {
    Link least = kNone;
    Link passed = kNone;  // the deepest subtree skipped so far whose keys are all greater
    int bit = static_cast<int>(top_bit(kSized ? kCommon : 0));
    if (least_key >> bit > 1) return kNone;
    for (Link at = root; at != kNone; --bit) {
      const std::uint64_t own_key = key<kSized>(at);
      if (own_key >= least_key && (least == kNone || own_key < key<kSized>(least))) least = at;
      // There is no level below the last bit.
      const unsigned side = bit < 0 ? 0 : static_cast<unsigned>(least_key >> bit & 1);
      const Node* at_node = node(at);
      if (side == 0 && at_node->below[1] != kNone) passed = at_node->below[1];
      at = at_node->below[side];
    }
    if (passed == kNone) return least;
    return least_below<kSized>(passed, least == kNone ? passed : least);
  }

  // Returns the lowest bin >= `bin` that is not empty; kBins if there is none.
  [[nodiscard]] unsigned lowest_from(unsigned bin) const noexcept {
    unsigned word = bin / kWordBits;
    std::uint64_t candidates = words_[word] & ~std::uint64_t{0} << bin % kWordBits;
    if (candidates == 0) {
      const std::uint32_t above = summary_ & ~std::uint32_t{1} << word;
      if (above == 0) return kBins;
      word = static_cast<unsigned>(std::countr_zero(above));
      candidates = words_[word];
    }
    return word * kWordBits + static_cast<unsigned>(std::countr_zero(candidates));
  }

  template <class Visit>
  void visit_below(Link at, Visit& visit) const {
    if (at == kNone) return;
    visit_below(node(at)->below[0], visit);
    visit(block_at(at));
    visit_below(node(at)->below[1], visit);
  }

  // `prefix`: the required bits above `bit`; below bit 0 that is the whole key.
  std::size_t check_below(unsigned bin, Link at, Link above, int bit, std::uint64_t prefix) const {
    if (at == kNone) return 0;
    const Node* at_node = node(at);
    const std::uint64_t own = bin == kCommon ? key<true>(at) : key<false>(at);
    require(block_at(at)->is_free(), "a block in a tree is not marked free");
    require(bin_of(size_of(at)) == bin, "a free block is in the tree of another size");
    require(at_node->above == above, "a node of a tree does not point back to the one above");
    require((bit < 0 ? own : own >> bit >> 1) == prefix, "a node of a tree is in the wrong place");
    if (bit < 0) {
      require(at_node->below[0] == kNone && at_node->below[1] == kNone, "a tree is deeper than its keys are long");
      return 1;
    }
    return 1 + check_below(bin, at_node->below[0], at, bit - 1, prefix << 1) +
           check_below(bin, at_node->below[1], at, bit - 1, prefix << 1 | 1);
  }

  std::byte* base_ = nullptr;
  std::array<Link, kBins> roots_{};
  std::array<std::uint64_t, kWords> words_{};
  std::uint32_t summary_ = 0;  // bit w: words_[w] is not 0
  unsigned link_bits_ = 1;     // bits that hold all addresses and sizes so far
  std::size_t free_blocks_ = 0;
};

}  // namespace memtool
