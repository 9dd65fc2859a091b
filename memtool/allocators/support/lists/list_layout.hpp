// What a block of the textbook's free lists consists of: bytes in front of the payload, behind it, and how sizes are
// rounded. Every figure is a parameter of the strategy `free-list`.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/support/bits.hpp"

namespace memtool {

// All in bytes.
struct ListLayout {
  std::size_t header;     // in front of each payload
  std::size_t footer;     // behind each payload
  std::size_t alignment;  // block sizes are multiples of it and payloads are aligned to it; a power of two
  std::size_t round;      // payloads are rounded up to a multiple of it
  std::size_t minimum;    // the smallest block, header and footer included
  std::size_t split;      // the smallest remainder that becomes a block

  // `size` must be far from overflow.
  [[nodiscard]] std::size_t bytes_for(std::size_t size) const noexcept {
    const std::size_t payload = (size + round - 1) / round * round;
    return std::max(minimum, bits::round_up(header + payload + footer, alignment));
  }
  [[nodiscard]] std::size_t overhead() const noexcept { return header + footer; }
  // Where the first block begins, so that its payload is aligned.
  [[nodiscard]] std::size_t lead() const noexcept { return -header & (alignment - 1); }
};

}  // namespace memtool
