// Free blocks in one list for each size class, with a bitmap of the classes that are not empty. TLSF, half-fit and
// segregated fit share it. Every operation takes constant time.
//
// Each power of two is divided into 2^k classes of equal width; each size that is too small for that has its own class.
// With sizes in granules of 16 bytes, u = size / 16, and shift = max(0, floor(log2 u) - k), the class is
//
//   (shift << k) + (u >> shift)
//
// which combines the two levels of Masmano's TLSF into one number: bits k and above are the first level. The bitmap has
// words of 64 classes, whatever k is. So two searches for a lowest set bit find the next class that is not empty.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/physical/physical_block.hpp"

namespace memtool {

class SegregatedLists {
 public:
  // A class counts its blocks in 32 bits. A heap of this size is the smallest that could hold more of the smallest
  // blocks, of which no two touch.
  static constexpr std::size_t kMostHeapBytes = (std::size_t{1} << 32) * 2 * PhysicalBlock::kMinimum;

  // For blocks of up to `largest` bytes. Call place() before anything else.
  SegregatedLists(unsigned log2_subdivisions, std::size_t largest) noexcept : log2_subdivisions_(log2_subdivisions) {
    classes_ = ceiling_class(bits::round_up(largest, PhysicalBlock::kGranule)) + 1;
    word_count_ = (classes_ + kWordBits - 1) / kWordBits;
  }

  [[nodiscard]] std::size_t table_bytes() const noexcept {
    return word_count_ * sizeof(std::uint64_t) + classes_ * sizeof(PhysicalBlock*) +
           bits::round_up(classes_ * sizeof(std::uint32_t), sizeof(std::uint64_t));
  }
  [[nodiscard]] std::size_t apart_bytes(std::size_t = 0) const noexcept { return 0; }
  // `table` holds table_bytes() and is aligned to 8.
  void place(std::byte* table) noexcept {
    std::byte* heads = table + word_count_ * sizeof(std::uint64_t);
    std::byte* counts = heads + classes_ * sizeof(PhysicalBlock*);
    words_ = new (table) std::uint64_t[word_count_]();
    heads_ = new (heads) PhysicalBlock*[classes_];
    counts_ = new (counts) std::uint32_t[classes_]();
    std::fill_n(heads_, classes_, &none_);
  }

  // The class of a block of `bytes`, and the lowest class in which every block has at least `bytes`. They are equal if
  // the class holds one size only.
  [[nodiscard]] unsigned floor_class(std::size_t bytes) const noexcept {
    const std::size_t granules = bytes / PhysicalBlock::kGranule;
    const unsigned shift = shift_of(granules);
    return (shift << log2_subdivisions_) + static_cast<unsigned>(granules >> shift);
  }
  [[nodiscard]] unsigned ceiling_class(std::size_t bytes) const noexcept {
    const std::size_t granules = bytes / PhysicalBlock::kGranule;
    const unsigned shift = shift_of(granules);
    // Rounding up may carry into the next power of two; the sum is then the number of its first class.
    const std::size_t above = granules + (std::size_t{1} << shift) - 1;
    return (shift << log2_subdivisions_) + static_cast<unsigned>(above >> shift);
  }
  // The smallest size of that class, in bytes.
  [[nodiscard]] std::size_t ceiling_bytes(std::size_t bytes) const noexcept {
    return bits::round_up(bytes, PhysicalBlock::kGranule << shift_of(bytes / PhysicalBlock::kGranule));
  }
  // The smallest size of a class, in bytes.
  [[nodiscard]] std::size_t least_bytes(unsigned size_class) const noexcept {
    const unsigned level = size_class >> log2_subdivisions_;
    const unsigned shift = level == 0 ? 0 : level - 1;
    return (std::size_t{size_class} - (std::size_t{shift} << log2_subdivisions_)) * PhysicalBlock::kGranule << shift;
  }

  // Removes and returns the block that was freed last from the lowest class >= `size_class` that is not empty; nullptr
  // if there is none.
  [[nodiscard, gnu::always_inline]] PhysicalBlock* pop_at_or_above(unsigned size_class) noexcept {
    unsigned word = size_class / kWordBits;
    std::uint64_t candidates = words_[word] & ~std::uint64_t{0} << size_class % kWordBits;
    if (candidates == 0) {
      const std::uint64_t above = summary_ & ~std::uint64_t{1} << word;
      if (above == 0) return nullptr;
      word = static_cast<unsigned>(std::countr_zero(above));
      candidates = words_[word];
    }
    const unsigned list = word * kWordBits + static_cast<unsigned>(std::countr_zero(candidates));
    PhysicalBlock* block = heads_[list];
    heads_[list] = block->next_free();
    count_out(list);
    return block;
  }

  // Writes to the old head, or to the sentinel, and sets the bit of the class in any case. On a small heap a branch on
  // an empty list is mispredicted so often that it costs more than all of this.
  [[gnu::always_inline]] void insert(PhysicalBlock* block, std::size_t bytes) noexcept {
    const unsigned size_class = floor_class(bytes);
    PhysicalBlock* head = heads_[size_class];
    block->set_next_free(head);
    heads_[size_class] = block;
    head->set_previous_free(block);
    words_[size_class / kWordBits] |= std::uint64_t{1} << size_class % kWordBits;
    summary_ |= std::uint64_t{1} << size_class / kWordBits;
    ++counts_[size_class];
  }

  // The new head keeps a stale back link, so that it is not fetched into the cache. A removal checks the list's head
  // first.
  [[gnu::always_inline]] void remove(PhysicalBlock* block, std::size_t bytes) noexcept {
    const unsigned size_class = floor_class(bytes);
    if (heads_[size_class] == block) {
      heads_[size_class] = block->next_free();
    } else {
      PhysicalBlock* previous = block->previous_free();
      PhysicalBlock* next = block->next_free();
      previous->set_next_free(next);
      next->set_previous_free(previous);
    }
    count_out(size_class);
  }

  // Every list ends with this sentinel, which is on no list.
  [[nodiscard]] const PhysicalBlock* none() const noexcept { return &none_; }
  [[nodiscard]] PhysicalBlock* head(unsigned size_class) const noexcept { return heads_[size_class]; }
  [[nodiscard]] std::size_t free_blocks() const noexcept {
    std::size_t blocks = 0;
    for (std::uint64_t words = summary_; words != 0; words &= words - 1) {
      const unsigned word = static_cast<unsigned>(std::countr_zero(words));
      for (std::uint64_t left = words_[word]; left != 0; left &= left - 1)
        blocks += counts_[word * kWordBits + static_cast<unsigned>(std::countr_zero(left))];
    }
    return blocks;
  }
  [[nodiscard]] bool empty() const noexcept { return summary_ == 0; }
  // Returns the highest class that is not empty. There must be one.
  [[nodiscard]] unsigned highest_class() const noexcept {
    const unsigned word = bits::log2_floor(summary_);
    return word * kWordBits + bits::log2_floor(words_[word]);
  }

  // Calls visit(block) for every block, class by class.
  template <class Visit>
  void for_each(Visit visit) const {
    for (unsigned size_class = 0; size_class < classes_; ++size_class) {
      for (PhysicalBlock* block = heads_[size_class]; block != &none_; block = block->next_free()) visit(block);
    }
  }

  void check() const {
    for (unsigned size_class = 0; size_class < classes_; ++size_class) {
      const bool marked = (words_[size_class / kWordBits] >> size_class % kWordBits & 1) != 0;
      require(marked == (counts_[size_class] != 0), "the bitmap does not say which size classes hold blocks");
      check_list(size_class);
    }
    for (unsigned word = 0; word < word_count_; ++word) {
      require((summary_ >> word & 1) == (words_[word] != 0), "the bitmap's upper level does not fit its lower one");
    }
  }

 private:
  static constexpr unsigned kWordBits = 64;

  [[nodiscard]] unsigned shift_of(std::size_t granules) const noexcept {
    return bits::log2_floor(granules | std::size_t{1} << log2_subdivisions_) - log2_subdivisions_;
  }

  // Decides by the count whether the list is now empty, not by the link of the removed block. That link may still be on
  // its way from memory, and the next search would wait for it.
  [[gnu::always_inline]] void count_out(unsigned size_class) noexcept {
    const unsigned word = size_class / kWordBits;
    const bool last = --counts_[size_class] == 0;
    const std::uint64_t left = words_[word] & ~(std::uint64_t{last} << size_class % kWordBits);
    words_[word] = left;
    summary_ &= ~(std::uint64_t{left == 0} << word);
  }

  void check_list(unsigned size_class) const {
    std::size_t blocks = 0;
    const PhysicalBlock* previous = nullptr;
    for (const PhysicalBlock* block = heads_[size_class]; block != &none_; block = block->next_free()) {
      require(++blocks <= counts_[size_class], "a free list holds more blocks than were counted, or runs in a circle");
      require(block->is_free(), "a block in a free list is not marked free");
      require(floor_class(block->bytes()) == size_class, "a free block is in another size class than its own");
      require(previous == nullptr || block->previous_free() == previous,
              "a free block does not point back to the one before it in its list");
      previous = block;
    }
    require(blocks == counts_[size_class], "a free list holds fewer blocks than were counted");
  }

  PhysicalBlock none_{};
  unsigned log2_subdivisions_;
  std::uint64_t summary_ = 0;  // bit w: words_[w] is not 0
  std::uint64_t* words_ = nullptr;
  PhysicalBlock** heads_ = nullptr;
  std::uint32_t* counts_ = nullptr;
  unsigned classes_ = 0;
  unsigned word_count_ = 0;
};

// Good fit: takes the first block of the lowest class in which every block fits. There is no search, and blocks of the
// request's own class are skipped if the class holds several sizes.
struct GoodFit {
  [[gnu::always_inline]] static PhysicalBlock* take(SegregatedLists& lists, std::size_t bytes) noexcept {
    return lists.pop_at_or_above(lists.ceiling_class(bytes));
  }
  static std::size_t largest(const SegregatedLists& lists) noexcept {
    return lists.empty() ? 0 : lists.least_bytes(lists.highest_class());
  }
};

// Segregated fit: takes the first block of the request's own class that fits, otherwise good fit in the classes above.
// A freed block is found again, whatever its size.
struct FirstInClass {
  [[gnu::always_inline]] static PhysicalBlock* take(SegregatedLists& lists, std::size_t bytes) noexcept {
    const unsigned size_class = lists.floor_class(bytes);
    for (PhysicalBlock* block = lists.head(size_class); block != lists.none(); block = block->next_free()) {
      if (block->bytes() < bytes) continue;
      lists.remove(block, block->bytes());
      return block;
    }
    return lists.pop_at_or_above(size_class + 1);
  }
  static std::size_t largest(const SegregatedLists& lists) noexcept {
    std::size_t most = 0;
    if (lists.empty()) return most;
    for (PhysicalBlock* block = lists.head(lists.highest_class()); block != lists.none(); block = block->next_free()) {
      most = std::max(most, block->bytes());
    }
    return most;
  }
};

}  // namespace memtool
