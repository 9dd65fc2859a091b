// A program on a persistent heap: slots, each of which has a block or none, and says whether the block is filled. What
// a killed process leaves must be a ledger in which every block is a slot's, and every filled one as it was filled.
#pragma once

#include <cstdint>
#include <random>
#include <set>
#include <stdexcept>
#include <string>

#include "allocators/support/persistent/offset_heap.hpp"

namespace memtool::persistent {

class Wrong : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
inline void demand(bool holds, const std::string& words) {
  if (!holds) throw Wrong(words);
}

template <class Heap, class Store>
class Ledger {
 public:
  static constexpr std::uint64_t kSlots = 64;
  struct Slot {
    Offset block;
    std::uint64_t size;
    std::uint64_t is_filled;
  };

  explicit Ledger(Heap& heap) : heap_(heap) {
    if (heap_.root() == 0) demand(heap_.allocate_into(heap_.root(), kSlots * sizeof(Slot), 16) != 0, "no room");
  }

  void step(std::mt19937_64& random) {
    const std::uint64_t index = random() % kSlots;
    Slot& slot = slots()[index];
    if (slot.block != 0) {
      if (slot.is_filled != 0) verify(index);
      Store::store(slot.is_filled, 0);
      heap_.deallocate_from(slot.block);
      return;
    }
    Store::store(slot.size, size_from(random));
    const std::size_t alignment = std::size_t{16} << random() % 3;
    if (heap_.allocate_into(slot.block, slot.size, alignment) == 0) return;
    demand(slot.block % alignment == 0, "a block is not aligned");
    auto* words = static_cast<std::uint64_t*>(heap_.at(slot.block));
    for (std::uint64_t i = 0; i < slot.size / 8; ++i) words[i] = word(index, slot.size, i);
    Store::store(slot.is_filled, 1);
  }

  // Throws Wrong, or BrokenInvariant.
  void verify_all() const {
    heap_.check();
    std::set<Offset> used;
    heap_.walk([&](const void* block, std::size_t, BlockState state) {
      if (state == BlockState::used) used.insert(heap_.offset_of(block));
    });
    demand(used.erase(heap_.root()) == 1, "the ledger's own block is not in use");
    for (std::uint64_t i = 0; i < kSlots; ++i) {
      const Slot& slot = slots()[i];
      if (slot.block == 0) {
        demand(slot.is_filled == 0, "a slot without a block is filled");
        continue;
      }
      demand(used.erase(slot.block) == 1, "a slot has a block that is not in use, or another slot's");
      demand(heap_.usable_size(heap_.at(slot.block)) >= slot.size, "a block is smaller than its slot says");
      if (slot.is_filled != 0) verify(i);
    }
    demand(used.empty(), std::to_string(used.size()) + " blocks are in use and no slot's: leaked");
  }

 private:
  [[nodiscard]] Slot* slots() const { return static_cast<Slot*>(heap_.at(heap_.root())); }
  static std::uint64_t word(std::uint64_t slot, std::uint64_t size, std::uint64_t i) {
    return (slot * 1'000'003 + size) * 0x9E3779B97F4A7C15u + i;
  }
  static std::uint64_t size_from(std::mt19937_64& random) {
    const std::uint64_t kind = random() % 256;
    if (kind < 236) return 1 + random() % 256;
    if (kind < 253) return 1 + random() % 32768;
    return 1 + random() % 300000;
  }
  void verify(std::uint64_t index) const {
    const Slot& slot = slots()[index];
    const auto* words = static_cast<const std::uint64_t*>(heap_.at(slot.block));
    for (std::uint64_t i = 0; i < slot.size / 8; ++i)
      demand(words[i] == word(index, slot.size, i), "the content of slot " + std::to_string(index) + " is another");
  }
  Heap& heap_;
};

}  // namespace memtool::persistent
