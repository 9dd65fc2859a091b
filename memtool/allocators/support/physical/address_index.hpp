// Free blocks by address, for policies that take the first one that fits.
//
// The heap is cut into segments of 1 KiB. One word for each segment marks at which of its 64 granules a free block
// begins, and a number bounds the size of the largest of these blocks. On the levels above, each number is the largest
// of the sixteen below it. A search for the first block from some address climbs along these numbers and descends
// again, with at most one cache line for each level, and then looks at the blocks of one segment. Nothing is written to
// the blocks themselves.
//
// The numbers are upper bounds: removing a block does not lower them, but an unsuccessful search does. So each removal
// costs at most one search. If a block is cut and its remainder stays in the segment, it costs nothing.
//
// The tables lie outside of the region. They are reserved for the whole region, and resident as far as the heap has
// grown.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/physical/physical_block.hpp"

namespace memtool {

class AddressIndex {
 public:
  static constexpr std::size_t kMostHeapBytes = (std::size_t{1} << 32) * PhysicalBlock::kGranule;

  // For blocks in a region of `largest` bytes. Throws std::bad_alloc if the tables cannot be mapped.
  AddressIndex(unsigned, std::size_t largest) {
    std::size_t entries = std::min(largest, kMostHeapBytes) / kSegmentBytes + 1;
    std::size_t at = bits::round_up(entries * sizeof(std::uint64_t), kLine);
    std::array<std::size_t, kMostLevels> begins{};
    for (std::size_t& begin : begins) {
      begin = at;
      at += bits::round_up(entries * sizeof(std::uint32_t), kLine);
      entries = (entries + kFanOut - 1) / kFanOut;
    }
    mapped_bytes_ = at;
    void* mapped = mmap(nullptr, at, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    table_ = static_cast<std::byte*>(mapped);
    words_ = reinterpret_cast<std::uint64_t*>(table_);
    for (unsigned level = 0; level < kMostLevels; ++level)
      bounds_[level] = reinterpret_cast<std::uint32_t*>(table_ + begins[level]);
  }
  ~AddressIndex() { munmap(table_, mapped_bytes_); }
  AddressIndex(const AddressIndex&) = delete;
  AddressIndex& operator=(const AddressIndex&) = delete;

  // No part of the index lies in the region; it needs only the region's base.
  [[nodiscard]] std::size_t table_bytes() const noexcept { return 0; }
  void place(std::byte* base) noexcept { base_ = base; }
  // The size of the tables as far as the heap has grown, or at most, once it has `used` bytes.
  [[nodiscard]] std::size_t apart_bytes(std::size_t used = 0) const noexcept {
    std::size_t entries = std::max(segments_, (used + kSegmentBytes - 1) / kSegmentBytes);
    std::size_t bytes = entries * sizeof(std::uint64_t) + entries * sizeof(std::uint32_t);
    while (entries > kFanOut) {
      entries = (entries + kFanOut - 1) / kFanOut;
      bytes += entries * sizeof(std::uint32_t);
    }
    return bytes;
  }

  void insert(PhysicalBlock* block, std::size_t bytes) noexcept {
    const std::size_t granule = granule_of(block);
    std::size_t at = granule / kWordBits;
    if (at >= segments_) [[unlikely]]
      reach(at);
    words_[at] |= std::uint64_t{1} << granule % kWordBits;
    ++free_blocks_;
    const std::uint32_t size = granules(bytes);
    for (unsigned level = 0; level <= top_ && bounds_[level][at] < size; ++level, at /= kFanOut)
      bounds_[level][at] = size;
  }

  void remove(PhysicalBlock* block, std::size_t) noexcept {
    const std::size_t granule = granule_of(block);
    words_[granule / kWordBits] &= ~(std::uint64_t{1} << granule % kWordBits);
    --free_blocks_;
  }

  // Returns the first block by address with at least `bytes`, starting at `from` (nullptr: at the start), or nullptr if
  // there is none.
  [[nodiscard]] PhysicalBlock* first_at_least(std::size_t bytes, const PhysicalBlock* from) noexcept {
    const std::uint32_t size = granules(bytes);
    unsigned level = top_;
    std::size_t at = 0;
    if (from != nullptr) {
      const std::size_t granule = granule_of(from);
      const std::size_t segment = granule / kWordBits;
      if (segment >= segments_) return nullptr;
      const std::uint64_t behind = words_[segment] & ~std::uint64_t{0} << granule % kWordBits;
      if (bounds_[0][segment] >= size)
        if (PhysicalBlock* block = first_of(segment, behind, size)) return block;
      level = 0;
      at = segment + 1;
      while (at % kFanOut == 0 && level < top_) {  // the group ends there: continue with the next group
        ++level;
        at /= kFanOut;
      }
      if (at % kFanOut == 0 && level == top_) return nullptr;
    }
    return search(level, at, size);
  }

  [[nodiscard]] std::size_t free_blocks() const noexcept { return free_blocks_; }
  [[nodiscard]] std::size_t largest() const noexcept {
    return std::size_t{largest_below(top_, 0, 0)} * PhysicalBlock::kGranule;
  }

  template <class Visit>
  void for_each(Visit visit) const {
    for (std::size_t segment = 0; segment < segments_; ++segment)
      for (std::uint64_t left = words_[segment]; left != 0; left &= left - 1)
        visit(block_at(segment * kWordBits + static_cast<unsigned>(std::countr_zero(left))));
  }

  void check() const {
    std::size_t blocks = 0;
    for_each([&](PhysicalBlock* block) {
      ++blocks;
      require(block->is_free(), "a block in the index is not marked free");
      std::size_t at = granule_of(block) / kWordBits;
      for (unsigned level = 0; level <= top_; ++level, at /= kFanOut)
        require(bounds_[level][at] >= granules(block->bytes()), "a block is larger than the index believes");
    });
    require(blocks == free_blocks_, "the index does not hold as many blocks as it counts");
  }

 private:
  static constexpr std::size_t kWordBits = 64;
  static constexpr std::size_t kSegmentBytes = kWordBits * PhysicalBlock::kGranule;
  static constexpr std::size_t kLine = 64;
  static constexpr std::size_t kFanOut = kLine / sizeof(std::uint32_t);
  static constexpr unsigned kMostLevels = 7;  // 16^7 segments are more than a region can have

  [[nodiscard]] static std::uint32_t granules(std::size_t bytes) noexcept {
    // A request larger than any block finds nothing.
    return static_cast<std::uint32_t>(std::min<std::size_t>(bytes / PhysicalBlock::kGranule, ~std::uint32_t{0}));
  }
  // Blocks begin 8 bytes below a multiple of the granule, wherever the region begins.
  [[nodiscard]] std::size_t granule_of(const PhysicalBlock* block) const noexcept {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(block) - base_) / PhysicalBlock::kGranule;
  }
  [[nodiscard]] PhysicalBlock* block_at(std::size_t granule) const noexcept {
    return PhysicalBlock::at(base_ + granule * PhysicalBlock::kGranule +
                             (PhysicalBlock::kGranule - PhysicalBlock::kHeader));
  }

  // Called when the heap has grown to that segment, which may need another level on top.
  [[gnu::noinline]] void reach(std::size_t segment) noexcept {
    segments_ = segment + 1;
    while (segment >> 4 * (top_ + 1) != 0) {
      ++top_;
      bounds_[top_][0] = *std::max_element(bounds_[top_ - 1], bounds_[top_ - 1] + kFanOut);
    }
  }

  [[nodiscard]] PhysicalBlock* first_of(std::size_t segment, std::uint64_t begins, std::uint32_t size) const noexcept {
    for (; begins != 0; begins &= begins - 1) {
      PhysicalBlock* block = block_at(segment * kWordBits + static_cast<unsigned>(std::countr_zero(begins)));
      if (granules(block->bytes()) >= size) return block;
    }
    return nullptr;
  }
  [[nodiscard]] std::uint32_t largest_of(std::size_t segment) const noexcept {
    std::size_t most = 0;
    for (std::uint64_t left = words_[segment]; left != 0; left &= left - 1)
      most = std::max(most, block_at(segment * kWordBits + static_cast<unsigned>(std::countr_zero(left)))->bytes());
    return granules(most);
  }

  // Returns the largest block below a group, in granules, or `most` if none is larger. It searches the entry with the
  // highest bound first, and skips entries whose bound does not exceed the result so far.
  [[nodiscard]] std::uint32_t largest_below(unsigned level, std::size_t group, std::uint32_t most) const noexcept {
    std::array<std::uint32_t, kFanOut> promised;
    std::copy_n(bounds_[level] + group, kFanOut, promised.begin());
    for (;;) {
      std::uint32_t* best = std::max_element(promised.begin(), promised.end());
      if (*best <= most) return most;
      const std::size_t at = group + static_cast<std::size_t>(best - promised.begin());
      most = std::max(most, level == 0 ? largest_of(at) : largest_below(level - 1, at * kFanOut, most));
      *best = 0;
    }
  }

  // Bit i: entry i of the group is at least `size`. It has no branches, because the matching entry cannot be predicted.
  [[nodiscard]] static unsigned at_least(const std::uint32_t* group, std::uint32_t size) noexcept {
    unsigned matches = 0;
    for (unsigned i = 0; i < kFanOut; ++i) matches |= unsigned{group[i] >= size} << i;
    return matches;
  }

  // Returns the first block under the entries of one group from `at` on, or of any later group.
  [[nodiscard]] PhysicalBlock* search(unsigned level, std::size_t at, std::uint32_t size) noexcept {
    for (;;) {
      const std::size_t group = at / kFanOut * kFanOut;
      const unsigned matches = at_least(bounds_[level] + group, size) >> (at - group) << (at - group);
      if (matches == 0) {
        if (level == top_) return nullptr;
        at = group / kFanOut;
        ++level;
        lower(level, at);
        ++at;
        while (at % kFanOut == 0) {
          if (level == top_) return nullptr;
          ++level;
          at /= kFanOut;
        }
        continue;
      }
      at = group + static_cast<unsigned>(std::countr_zero(matches));
      if (level != 0) {
        --level;
        at *= kFanOut;
        continue;
      }
      if (PhysicalBlock* block = first_of(at, words_[at], size)) return block;
      bounds_[0][at] = largest_of(at);
    }
  }
  // Lowers a bound, because a search found less below an entry than its bound.
  void lower(unsigned level, std::size_t at) noexcept {
    const std::uint32_t* below = bounds_[level - 1] + at * kFanOut;
    bounds_[level][at] = *std::max_element(below, below + kFanOut);
  }

  std::byte* base_ = nullptr;
  std::byte* table_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::uint64_t* words_ = nullptr;
  std::array<std::uint32_t*, kMostLevels> bounds_{};
  std::size_t segments_ = 1;  // number of segments that the heap has reached
  unsigned top_ = 0;          // the level that consists of a single group
  std::size_t free_blocks_ = 0;
};

}  // namespace memtool
