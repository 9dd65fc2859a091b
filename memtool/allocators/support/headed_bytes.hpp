// What a block takes behind a header of one word, where such blocks follow each other.
#pragma once

#include <algorithm>
#include <cstddef>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

inline constexpr std::size_t kHeaderWord = sizeof(void*);

// Up to where the next header may begin, so that the next block of its kind follows without padding: 8 bytes below a
// multiple of 16, or of 8 where no more than a word's alignment was asked for.
[[gnu::always_inline]] constexpr std::size_t headed_bytes(std::size_t size, std::size_t alignment) noexcept {
  const std::size_t step = std::clamp(alignment, kHeaderWord, kDefaultAlignment);
  return bits::round_up(std::max(size, kHeaderWord) + kHeaderWord, step) - kHeaderWord;
}

// What every block of `size` may be used for, however it is aligned.
[[gnu::always_inline]] constexpr std::size_t headed_usable(std::size_t size) noexcept {
  return headed_bytes(size, kHeaderWord);
}

}  // namespace memtool
