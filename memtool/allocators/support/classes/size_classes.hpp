// Size classes with geometric spacing, as in jemalloc: 2^k classes in each doubling above 2^k quanta. Rounding up
// wastes less than 1/(2^k + 1) of a block, which is 20 % for four classes in each doubling.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "allocators/support/bits.hpp"

namespace memtool {

class SizeClasses {
 public:
  static constexpr std::size_t kQuantum = 16;
  static constexpr std::size_t kMost = 128;  // 8 classes in each doubling up to 2 MiB need 120
  static constexpr unsigned kMostLog2Spacing = 3;
  static constexpr std::size_t kLargest = std::size_t{2} << 20;

  // `log2_spacing`: log2 of the number of classes in each doubling, at most kMostLog2Spacing. `largest`: a size that
  // the last class holds at least, at most kLargest.
  constexpr SizeClasses(unsigned log2_spacing, std::size_t largest) noexcept : log2_spacing_(log2_spacing) {
    while (count_ < kMost) {
      const std::size_t size = size_of(count_);
      sizes_[count_++] = size;
      if (size >= largest) break;
    }
  }

  [[nodiscard]] constexpr std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t size(std::size_t index) const noexcept { return sizes_[index]; }
  [[nodiscard]] std::size_t largest() const noexcept { return sizes_[count_ - 1]; }

  // Returns the smallest class that holds `size` bytes; `size` must not exceed largest().
  [[nodiscard]] std::size_t index(std::size_t size) const noexcept {
    const std::size_t quanta = (std::max<std::size_t>(size, 1) - 1) / kQuantum;
    if (quanta < std::size_t{1} << log2_spacing_) return quanta;
    const unsigned shift = bits::log2_floor(quanta) - log2_spacing_;
    return (std::size_t{shift} << log2_spacing_) + (quanta >> shift);
  }

  // Returns the smallest class that holds `size` bytes and whose blocks, at multiples of their size, lie at multiples
  // of `alignment`; count() if there is none.
  [[nodiscard]] std::size_t index(std::size_t size, std::size_t alignment) const noexcept {
    const std::size_t least = std::max(size, alignment);
    if (least > largest()) return count_;
    std::size_t size_class = index(least);
    while (size_class < count_ && (sizes_[size_class] & (alignment - 1)) != 0) ++size_class;
    return size_class;
  }

 private:
  [[nodiscard]] constexpr std::size_t size_of(std::size_t index) const noexcept {
    const std::size_t spacing = std::size_t{1} << log2_spacing_;
    if (index < 2 * spacing) return (index + 1) * kQuantum;
    const std::size_t shift = index / spacing - 1;
    return ((spacing + index % spacing + 1) << shift) * kQuantum;
  }

  unsigned log2_spacing_;
  std::size_t count_ = 0;
  std::array<std::size_t, kMost> sizes_{};
};

}  // namespace memtool
