// Blocks of one size that lie side by side in chunks.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"

namespace memtool::equal_blocks {

// Their alignment is the largest power of two that divides the distance between them, at most a page.
inline std::size_t alignment(std::size_t stride) noexcept {
  return std::min<std::size_t>(stride & -stride, 4096);
}

inline Limits limits(const Parameters& parameters, std::size_t stride) {
  return {.largest_size = parameters["block"],
          .largest_alignment = alignment(stride),
          .least_alignment = std::min(alignment(stride), kDefaultAlignment)};
}

// The bytes of a chunk: whole blocks, and at least one.
inline std::size_t chunk(const Parameters& parameters, std::size_t stride) {
  return std::max(parameters["chunk"] / stride, std::uint64_t{1}) * stride;
}

}  // namespace memtool::equal_blocks
