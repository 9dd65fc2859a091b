// First fit in a given order, for any number of blocks: each block goes to the lowest offset without conflict with a
// block alive at the same time. A tree over the sections holds the occupied addresses by time. So a block looks at the
// union of the overlapping blocks, not at every neighbour.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

class FirstFit {
 public:
  explicit FirstFit(const Instance& instance);

  // Places the blocks in this order. Returns the footprint, or kNowhere if it would reach `limit` or the work is spent.
  // The block placed last is then the cause.
  std::uint64_t run(std::span<const Index> order, std::uint64_t limit, Work& work);
  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }
  [[nodiscard]] Index last() const noexcept { return last_; }

 private:
  // Occupied addresses [low, high). They are sorted, and none touches another.
  using Spans = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  struct Node {
    Spans whole;  // of blocks that are alive in all of the node's sections
    Spans any;    // of blocks that are alive in at least one of them
  };

  std::uint64_t lowest(const Block& block, std::uint64_t limit);
  void put(const Block& block, std::uint64_t offset);
  void add(Spans& spans, std::uint64_t low, std::uint64_t high);
  // Collects the nodes that make up the block's sections, and the nodes above them.
  void walk(const Block& block);

  const Instance& instance_;
  Index leaves_;
  std::vector<Node> nodes_;
  std::vector<Index> inside_, above_;
  std::vector<std::pair<const Spans*, std::size_t>> cursors_;
  std::vector<std::uint64_t> offsets_;
  std::uint64_t steps_ = 0;
  Index last_ = 0;
};

// Orders of placement. The blocks that are hardest to place late come first, by several criteria.
std::vector<std::vector<Index>> orders_of(const Instance& instance);

// Searches several orders, and then variants of the best in which the blocks that reached the top come earlier.
void search_orders(const Instance& instance, std::uint64_t target, Work& work, Offsets& best);

}  // namespace memtool::packing
