// The decisions of a heap that searches a list of free blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memtool {

// In the order of the words that a user chooses from.
enum class ListFit : std::uint8_t { first, next, best, worst };
enum class ListOrder : std::uint8_t { address, lifo, fifo, size_ascending, size_descending };
enum class Coalescing : std::uint8_t { immediate, deferred, listed, none };
enum class Remainder : std::uint8_t { order, place };
enum class Extension : std::uint8_t { gap, need };

struct ListPolicy {
  ListFit fit;
  ListOrder order;
  Coalescing coalescing;
  Remainder remainder;  // what is left of a block is listed in its order, or keeps the place of the block
  Extension extension;  // the heap grows by what is missing beside a free block at its end, or by the whole request
  bool linked;          // false: there is no list, all blocks are walked
  std::size_t initial;  // bytes the heap begins with
  std::size_t grow;     // fewest bytes by which it grows; 0: never

  [[nodiscard]] bool by_address() const noexcept { return order == ListOrder::address; }
  [[nodiscard]] bool by_size() const noexcept {
    return order == ListOrder::size_ascending || order == ListOrder::size_descending;
  }
};

}  // namespace memtool
