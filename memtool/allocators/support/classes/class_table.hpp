// Maps a request to its size class with one load, for strategies that need the class at every allocate and every sized
// deallocate.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/classes/size_classes.hpp"

namespace memtool {

class ClassTable {
 public:
  static constexpr std::size_t kMostLargest = 128 * 1024;
  static constexpr std::size_t kNone = 255;  // no class: the request is large
  static_assert(SizeClasses::kMost < kNone);

  // See SizeClasses; `largest` is at most kMostLargest, and is rounded up to a class.
  ClassTable(unsigned log2_spacing, std::size_t largest) noexcept
      : classes_(log2_spacing, largest), largest_(classes_.largest()) {
    // The start of a program waits for this loop. So it fills the table class by class; each class has the lengths
    // above those of the class before.
    std::uint8_t* next = by_quanta_.data();
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      std::uint8_t* const end = by_quanta_.data() + classes_.size(index) / SizeClasses::kQuantum + 1;
      std::fill(next, end, static_cast<std::uint8_t>(index));
      next = end;
    }
  }

  [[nodiscard]] std::size_t count() const noexcept { return classes_.count(); }
  [[nodiscard]] std::size_t size(std::size_t index) const noexcept { return classes_.size(index); }

  // Returns the class of a request, or kNone: for requests above the largest class, and for alignments that no class
  // provides when its blocks lie at multiples of their size from a page.
  [[nodiscard]] std::size_t index(std::size_t size, std::size_t alignment) const noexcept {
    // Does not call the two functions below: with them g++ 12 adds 0.6 instructions to each operation of
    // segregated-pool.
    if (alignment <= kDefaultAlignment && size <= largest_) [[likely]]
      return by_quanta_[(size + SizeClasses::kQuantum - 1) / SizeClasses::kQuantum];
    return aligned_index(size, alignment);
  }
  // Whether the table alone determines the class.
  [[nodiscard, gnu::always_inline]] bool is_plain(std::size_t size, std::size_t alignment) const noexcept {
    return alignment <= kDefaultAlignment && size <= largest_;
  }
  [[nodiscard, gnu::always_inline]] std::size_t plain_index(std::size_t size) const noexcept {
    return by_quanta_[(size + SizeClasses::kQuantum - 1) / SizeClasses::kQuantum];
  }

 private:
  static constexpr std::size_t kPage = 4096;

  [[nodiscard]] [[gnu::noinline]] std::size_t aligned_index(std::size_t size, std::size_t alignment) const noexcept {
    if (alignment > kPage) return kNone;
    const std::size_t index = classes_.index(size, alignment);
    return index < classes_.count() ? index : kNone;
  }

  SizeClasses classes_;
  std::size_t largest_;
  std::array<std::uint8_t, kMostLargest / SizeClasses::kQuantum + 1> by_quanta_;
};

inline constexpr ParameterInfo kLargestClass{.name = "largest",
                                             .summary = "largest size that has a size class",
                                             .default_value = 32 * 1024,
                                             .minimum = 1024,
                                             .maximum = ClassTable::kMostLargest};

}  // namespace memtool
