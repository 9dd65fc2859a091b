// The design decisions of a heap that searches a list of free blocks.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memtool {

// In the order of the user's choices.
enum class ListFit : std::uint8_t { first, next, best, worst };
enum class ListOrder : std::uint8_t { address, lifo, fifo, size_ascending, size_descending };
enum class Coalescing : std::uint8_t { immediate, deferred, listed, none };
enum class Remainder : std::uint8_t { order, place };
enum class Extension : std::uint8_t { gap, need };

struct ListPolicy {
  ListFit fit;
  ListOrder order;
  Coalescing coalescing;
  Remainder remainder;  // where the remainder of a split goes: where a freed block would, or in the place of the block
  Extension extension;  // the heap grows by what its last free block lacks, or by the whole request
  bool linked;          // false: there is no list, and a search walks all blocks
  std::size_t initial;  // bytes of the heap at the start
  std::size_t grow;     // smallest number of bytes by which it grows; 0: it never grows

  [[nodiscard]] bool by_address() const noexcept { return order == ListOrder::address; }
  [[nodiscard]] bool by_size() const noexcept {
    return order == ListOrder::size_ascending || order == ListOrder::size_descending;
  }
};

}  // namespace memtool
