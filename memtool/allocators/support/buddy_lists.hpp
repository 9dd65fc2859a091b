// The free blocks of a buddy system: one list for each order, linked through the blocks themselves.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

class BuddyLists {
 public:
  static constexpr unsigned kOrders = 56;
  static constexpr std::size_t kSmallestBlock = 2 * sizeof(void*);

  BuddyLists() noexcept { heads_.fill(&none_); }
  BuddyLists(const BuddyLists&) = delete;
  BuddyLists& operator=(const BuddyLists&) = delete;

  // Bit k - `order` is set if there are free blocks of order k.
  [[nodiscard]] std::uint64_t orders_from(unsigned order) const noexcept { return orders_ >> order; }
  [[nodiscard]] bool empty() const noexcept { return orders_ == 0; }
  [[nodiscard]] unsigned highest_order() const noexcept { return bits::log2_floor(orders_); }
  [[nodiscard]] std::size_t blocks() const noexcept {
    return std::accumulate(counts_.begin(), counts_.end(), std::size_t{0});
  }

  // Removes and returns the block of `order` that was freed last. There must be one.
  [[gnu::always_inline]] void* pop(unsigned order) noexcept {
    Block* block = heads_[order];
    heads_[order] = block->next;
    count_out(order);
    return block;
  }
  [[gnu::always_inline]] void insert(void* address, unsigned order) noexcept {
    auto* block = static_cast<Block*>(address);
    Block* head = heads_[order];
    block->next = head;
    head->previous = block;
    heads_[order] = block;
    ++counts_[order];
    orders_ |= std::uint64_t{1} << order;
  }
  [[gnu::always_inline]] void remove(void* address, unsigned order) noexcept {
    auto* block = static_cast<Block*>(address);
    if (heads_[order] == block) {
      heads_[order] = block->next;
    } else {
      block->previous->next = block->next;
      block->next->previous = block->previous;
    }
    count_out(order);
  }

  // Verifies the list of an order and returns its blocks, the youngest first.
  [[nodiscard]] std::vector<const void*> check(unsigned order) const {
    const std::size_t count = counts_[order];
    require((orders_ >> order & 1) == (count != 0), "the bitmap does not say which orders have free blocks");
    std::vector<const void*> blocks;
    const Block* previous = nullptr;
    for (const Block* block = heads_[order]; block != &none_; block = block->next) {
      require(blocks.size() < count, "a free list holds more blocks than were counted, or runs in a circle");
      require(previous == nullptr || block->previous == previous,
              "a free block does not point back to the one before it in its list");
      blocks.push_back(block);
      previous = block;
    }
    require(blocks.size() == count, "a free list holds fewer blocks than were counted");
    return blocks;
  }

 private:
  struct Block {
    Block* next;
    Block* previous;  // in the first block of a list: undefined
  };

  // Decides by the count whether the list is now empty. The link of the removed block may still be on its way from
  // memory.
  [[gnu::always_inline]] void count_out(unsigned order) noexcept {
    orders_ &= ~(std::uint64_t{--counts_[order] == 0} << order);
  }

  std::uint64_t orders_ = 0;  // bit k: there are free blocks of order k
  Block none_{};              // ends every list, so that no link is nullptr
  std::array<Block*, kOrders> heads_{};
  std::array<std::size_t, kOrders> counts_{};
};

}  // namespace memtool
