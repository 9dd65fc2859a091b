// Blocks whose metadata lies apart from the heap. The heap then holds only payload, as the theory of fragmentation
// counts it. Headers and footers may still be configured: nothing is written to them, so they are lost space.
//
// Each block has a record with links to its physical neighbours and along the free list. A hash table with linear
// probing (Knuth, TAOCP 3, 6.4, algorithms L and R) finds the record of a used block by its address.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/lists/list_layout.hpp"

namespace memtool {

class ApartBlocks {
 public:
  // A block, identified by the number of its record.
  using Ref = std::size_t;
  static constexpr Ref kNone = ~std::uint32_t{0};
  static constexpr bool kInHeap = false;  // a free block is free from its first byte to its last

  ApartBlocks(std::byte*, const ListLayout& layout)
      : header_(layout.header), end_(layout.lead()), used_(kLeastSlots, kEmpty) {}

  [[nodiscard]] std::size_t most_heap_bytes() const noexcept { return kFree; }
  [[nodiscard]] std::size_t apart_bytes() const noexcept {
    return records_.capacity() * sizeof(Record) + used_.capacity() * sizeof(std::uint32_t);
  }

  // Returns kNone if no used block has that payload.
  [[nodiscard]] Ref of_payload(std::size_t offset) const noexcept { return used_[slot_of(offset - header_)]; }
  [[nodiscard]] std::size_t offset(Ref at) const noexcept { return records_[at].offset; }
  [[nodiscard]] std::size_t bytes(Ref at) const noexcept { return records_[at].bytes & ~kFree; }
  [[nodiscard]] bool is_free(Ref at) const noexcept { return (records_[at].bytes & kFree) != 0; }
  void set_free(Ref at, bool free) {
    if (free) {
      forget(at);
      records_[at].bytes |= kFree;
    } else {
      remember(at);
      records_[at].bytes &= ~kFree;
    }
  }

  [[nodiscard]] Ref first() const noexcept { return first_; }
  [[nodiscard]] Ref last() const noexcept { return last_; }
  [[nodiscard]] Ref next_physical(Ref at) const noexcept { return records_[at].next_physical; }
  [[nodiscard]] bool knows_previous() const noexcept { return true; }
  [[nodiscard]] Ref previous_physical(Ref at) const noexcept { return records_[at].previous_physical; }

  [[nodiscard]] Ref next(Ref at) const noexcept { return records_[at].next; }
  [[nodiscard]] Ref previous(Ref at) const noexcept { return records_[at].previous; }
  void set_next(Ref at, Ref to) noexcept { records_[at].next = number(to); }
  void set_previous(Ref at, Ref to) noexcept { records_[at].previous = number(to); }

  Ref append(std::size_t bytes) {
    const Ref fresh = record(end_, bytes);
    end_ += bytes;
    link_physical(last_, fresh);
    link_physical(fresh, kNone);
    return fresh;
  }
  void extend(Ref at, std::size_t more) noexcept {
    end_ += more;
    records_[at].bytes += more;
  }
  Ref cut(Ref at, std::size_t bytes) {
    const Ref rest = record(offset(at) + bytes, this->bytes(at) - bytes);
    records_[at].bytes = bytes | kFree;
    link_physical(rest, next_physical(at));
    link_physical(at, rest);
    return rest;
  }
  void join(Ref at, Ref next) noexcept {
    records_[at].bytes += bytes(next);
    link_physical(at, next_physical(next));
    records_[next].next_physical = number(spare_);
    spare_ = next;
  }

  void check(Ref at) const {
    const Ref next = next_physical(at);
    require(next == kNone || previous_physical(next) == at,
            "a block's record does not point back to the one before it");
    require(is_free(at) || of_payload(offset(at) + header_) == at, "a used block is not found by its address");
  }

 private:
  struct Record {
    std::size_t offset;
    std::size_t bytes;  // size, and whether the block is free
    std::uint32_t previous_physical;
    std::uint32_t next_physical;  // in a spare record: the next spare record
    std::uint32_t previous;
    std::uint32_t next;
  };
  static constexpr std::size_t kFree = std::size_t{1} << 63;
  static constexpr std::size_t kLeastSlots = 64;
  static constexpr std::uint32_t kEmpty = ~std::uint32_t{0};

  [[nodiscard]] static std::uint32_t number(Ref at) noexcept { return static_cast<std::uint32_t>(at); }

  Ref record(std::size_t offset, std::size_t bytes) {
    Ref fresh = spare_;
    if (fresh == kNone) {
      fresh = records_.size();
      records_.emplace_back();
    } else {
      spare_ = records_[fresh].next_physical;
    }
    records_[fresh] = {offset, bytes | kFree, kEmpty, kEmpty, kEmpty, kEmpty};
    return fresh;
  }

  void link_physical(Ref left, Ref right) noexcept {
    (left == kNone ? first_ : records_[left].next_physical) = number(right);
    (right == kNone ? last_ : records_[right].previous_physical) = number(left);
  }

  // Fibonacci hashing: neighbouring blocks, whose addresses differ in few bits, get distant slots.
  [[nodiscard]] std::size_t home_of(std::size_t offset) const noexcept {
    return offset * 0x9e3779b97f4a7c15ULL >> 32 & (used_.size() - 1);
  }
  // Returns the slot of the block, or the empty slot where it would be inserted.
  [[nodiscard]] std::size_t slot_of(std::size_t offset) const noexcept {
    std::size_t slot = home_of(offset);
    while (used_[slot] != kEmpty && records_[used_[slot]].offset != offset) slot = (slot + 1) & (used_.size() - 1);
    return slot;
  }
  void remember(Ref at) {
    if (++used_count_ * 2 > used_.size()) {
      std::vector<std::uint32_t> old(used_.size() * 2, kEmpty);
      old.swap(used_);
      for (const std::uint32_t record : old)
        if (record != kEmpty) used_[slot_of(records_[record].offset)] = record;
    }
    used_[slot_of(offset(at))] = number(at);
  }
  void forget(Ref at) noexcept {
    --used_count_;
    const std::size_t mask = used_.size() - 1;
    std::size_t hole = slot_of(offset(at));
    used_[hole] = kEmpty;
    // Entries that were displaced past the hole move back into it, so that no search ends there too early.
    for (std::size_t slot = (hole + 1) & mask; used_[slot] != kEmpty; slot = (slot + 1) & mask) {
      const std::size_t home = home_of(records_[used_[slot]].offset);
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      used_[hole] = used_[slot];
      used_[slot] = kEmpty;
      hole = slot;
    }
  }

  std::size_t header_;
  std::size_t end_;
  std::vector<Record> records_;
  std::vector<std::uint32_t> used_;
  std::size_t used_count_ = 0;
  Ref spare_ = kNone;
  std::uint32_t first_ = kEmpty;
  std::uint32_t last_ = kEmpty;
};

}  // namespace memtool
