// First fit in any order, for any number of blocks: each block at the lowest offset at which nothing that is alive with
// it is in its way. What lies where at a time is kept in a tree over the sections, so that a block looks at the union
// of what overlaps with it and not at every neighbour.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

class FirstFit {
 public:
  explicit FirstFit(const Instance& instance);

  // Places the blocks in this order. Returns the footprint; kNowhere where it would reach `limit`, or the work is
  // spent. What was placed last is then at fault.
  std::uint64_t run(std::span<const Index> order, std::uint64_t limit, Work& work);
  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }
  [[nodiscard]] Index last() const noexcept { return last_; }

 private:
  // Addresses [low, high) that are taken; sorted, and none touches another.
  using Spans = std::vector<std::pair<std::uint64_t, std::uint64_t>>;
  struct Node {
    Spans whole;  // by blocks that are alive in all of the node's sections
    Spans any;    // by blocks that are alive in one of them
  };

  std::uint64_t lowest(const Block& block, std::uint64_t limit);
  void put(const Block& block, std::uint64_t offset);
  void add(Spans& spans, std::uint64_t low, std::uint64_t high);
  // The nodes that are the block's sections, and those above them.
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

// Orders of placement: those first that are hardest to place later, in several senses of it.
std::vector<std::vector<Index>> orders_of(const Instance& instance);

// The best of several orders, and then of orders in which what reached the top comes earlier.
void search_orders(const Instance& instance, std::uint64_t target, Work& work, Offsets& best);

}  // namespace memtool::packing
