// The layout of a block in the textbook's free list: the bytes in front of the payload and behind it, and how sizes are
// rounded. Each figure is a parameter of the strategy `free-list`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/support/bits.hpp"

namespace memtool {

// All figures are in bytes.
struct ListLayout {
  std::size_t header;     // in front of each payload
  std::size_t footer;     // behind each payload
  std::size_t alignment;  // block sizes are multiples of it, and payloads are aligned to it; a power of two
  std::size_t round;      // payload sizes are rounded up to a multiple of it
  std::size_t minimum;    // size of the smallest block with header and footer
  std::size_t split;      // size of the smallest remainder that becomes a block

  // `size` must be far from overflow.
  [[nodiscard]] std::size_t bytes_for(std::size_t size) const noexcept {
    const std::size_t payload = (size + round - 1) / round * round;
    return std::max(minimum, bits::round_up(header + payload + footer, alignment));
  }
  [[nodiscard]] std::size_t overhead() const noexcept { return header + footer; }
  // Offset of the first block, chosen so that its payload is aligned.
  [[nodiscard]] std::size_t lead() const noexcept { return -header & (alignment - 1); }
};

}  // namespace memtool
