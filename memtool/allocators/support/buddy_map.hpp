// Where the blocks of a binary buddy system begin, and which of them are free. The map has two bits for each smallest
// block and lies apart from the blocks. So blocks need no header, and a used block may hold anything.
//
// A block of order k covers 2^k units and begins at a multiple of 2^k. Only two of its units have a defined state: the
// first says that a block begins there, and the one in the middle says `inside`, which means that the block is not
// split. So entering, splitting and coalescing take constant time for blocks of any order, and a map over fresh memory
// need not be cleared.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocators/support/bits.hpp"

namespace memtool {

class BuddyMap {
 public:
  enum class State : std::uint64_t { inside = 0, used = 1, free = 2 };

  static constexpr std::size_t kUnitsPerWord = 32;

  BuddyMap() noexcept = default;
  explicit BuddyMap(std::uint64_t* words) noexcept : words_(words) {}

  // Size in bytes of a map of `units`, a multiple of kUnitsPerWord.
  [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t units) noexcept {
    return units / kUnitsPerWord * sizeof(std::uint64_t);
  }
  // Copies the states of the units before `end` from `other`.
  void copy(const BuddyMap& other, std::size_t end) noexcept {
    std::copy_n(other.words_, (end + kUnitsPerWord - 1) / kUnitsPerWord, words_);
  }
  // Marks that no block begins at any unit before `end`.
  void clear(std::size_t end) noexcept {
    std::fill_n(words_, (end + kUnitsPerWord - 1) / kUnitsPerWord, std::uint64_t{0});
  }

  [[nodiscard]] std::uint64_t* words() const noexcept { return words_; }
  [[nodiscard]] State state(std::size_t unit) const noexcept {
    return static_cast<State>(words_[unit / kUnitsPerWord] >> shift_of(unit) & 3);
  }
  void set(std::size_t unit, State state) noexcept {
    std::uint64_t& word = words_[unit / kUnitsPerWord];
    word = (word & ~(std::uint64_t{3} << shift_of(unit))) | static_cast<std::uint64_t>(state) << shift_of(unit);
  }
  // Enters a new block.
  void enter(std::size_t unit, unsigned order, State state) noexcept {
    unsplit(unit, order);
    set(unit, state);
  }
  // Marks that the block at `unit` has this order.
  void unsplit(std::size_t unit, unsigned order) noexcept {
    if (order != 0) set(middle(unit, order), State::inside);
  }

  // Whether a free block of exactly this order begins at `unit`, where no block of a higher order can begin.
  [[nodiscard]] bool is_free(std::size_t unit, unsigned order) const noexcept {
    return state(unit) == State::free && (order == 0 || state(middle(unit, order)) == State::inside);
  }
  // Returns the order of the block that begins at `unit`, in a map that ends at `end`.
  [[nodiscard]] unsigned order_of(std::size_t unit, std::size_t end) const noexcept {
    unsigned order = bits::log2_floor(end - unit);
    if (unit != 0) order = std::min(order, static_cast<unsigned>(std::countr_zero(unit)));
    while (order != 0 && state(middle(unit, order)) != State::inside) --order;
    return order;
  }

 private:
  static constexpr unsigned shift_of(std::size_t unit) noexcept {
    return static_cast<unsigned>(unit % kUnitsPerWord) * 2;
  }
  static constexpr std::size_t middle(std::size_t unit, unsigned order) noexcept {
    return unit + (std::size_t{1} << order >> 1);
  }

  std::uint64_t* words_ = nullptr;
};

}  // namespace memtool
