// The size of a block in memory that is allocated upwards.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

// Rounds up to whole multiples of the alignment, so that the next block of the kind follows without padding. Alignments
// above the default are not worth this.
[[gnu::always_inline]] constexpr std::size_t arena_bytes(std::size_t size, std::size_t alignment) noexcept {
  return bits::round_up(size + (size == 0), std::min(alignment, kDefaultAlignment));
}

// Returns where a block of so many bytes begins in the memory from `next` to `end`, or nullptr if it has no room there.
//
// No sum overflows: addresses of a process lie below 2^62, and an alignment is at most 2^63. If the size is known at
// compile time, one comparison remains. `bytes` is 0 if rounding up a size exceeded the largest address.
[[gnu::always_inline]] inline std::byte* fit_upwards(std::byte* next, const std::byte* end, std::size_t bytes,
                                                     std::size_t alignment) noexcept {
  constexpr std::size_t kMost = std::size_t{1} << 62;
  const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(next) + (alignment - 1)) & -alignment;
  if (bytes - 1 >= kMost || first + bytes > reinterpret_cast<std::uintptr_t>(end)) [[unlikely]]
    return nullptr;
  if (first == 0) __builtin_unreachable();  // so that a caller with a block does not test for nullptr again
  return reinterpret_cast<std::byte*>(first);
}

}  // namespace memtool
