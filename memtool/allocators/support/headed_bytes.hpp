// The size of a block behind a header of one word, where such blocks follow each other.
#pragma once

#include <algorithm>
#include <cstddef>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

inline constexpr std::size_t kHeaderWord = sizeof(void*);

// Rounds up to where the next header may begin, so that the next block of the kind follows without padding: 8 bytes
// below a multiple of 16, or a multiple of 8 if only a word's alignment is required.
[[gnu::always_inline]] constexpr std::size_t headed_bytes(std::size_t size, std::size_t alignment) noexcept {
  const std::size_t step = std::clamp(alignment, kHeaderWord, kDefaultAlignment);
  return bits::round_up(std::max(size, kHeaderWord) + kHeaderWord, step) - kHeaderWord;
}

// The usable size of every block of `size`, whatever its alignment.
[[gnu::always_inline]] constexpr std::size_t headed_usable(std::size_t size) noexcept {
  return headed_bytes(size, kHeaderWord);
}

}  // namespace memtool
