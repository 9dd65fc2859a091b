// From a request to its size class in one load: for strategies that must know the class of every allocate and every
// sized deallocate.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "allocators/support/size_classes.hpp"
#include "engine/strategy.hpp"

namespace memtool {

class ClassTable {
 public:
  static constexpr std::size_t kLargest = 32 * 1024;
  static constexpr std::size_t kNone = 255;  // no class: the request is large

  explicit ClassTable(unsigned log2_spacing) noexcept : classes_(log2_spacing, kLargest) {
    for (std::size_t quanta = 0; quanta < by_quanta_.size(); ++quanta)
      by_quanta_[quanta] = static_cast<std::uint8_t>(classes_.index(quanta * SizeClasses::kQuantum));
  }

  [[nodiscard]] std::size_t count() const noexcept { return classes_.count(); }
  [[nodiscard]] std::size_t size(std::size_t index) const noexcept { return classes_.size(index); }

  // The class of a request, or kNone. Blocks lie at multiples of their size from a page, so a class serves any
  // alignment up to a page that divides its size.
  [[nodiscard]] std::size_t index(std::size_t size, std::size_t alignment) const noexcept {
    if (alignment <= kDefaultAlignment && size <= kLargest) [[likely]] {
      return by_quanta_[(size + SizeClasses::kQuantum - 1) / SizeClasses::kQuantum];
    }
    return aligned_index(size, alignment);
  }

 private:
  static constexpr std::size_t kPage = 4096;

  [[nodiscard]] [[gnu::noinline]] std::size_t aligned_index(std::size_t size, std::size_t alignment) const noexcept {
    if (size > kLargest || alignment > kPage) return kNone;
    const std::size_t found = classes_.index(size, alignment);
    return found < classes_.count() ? found : kNone;
  }

  SizeClasses classes_;
  std::array<std::uint8_t, kLargest / SizeClasses::kQuantum + 1> by_quanta_{};
};

}  // namespace memtool
