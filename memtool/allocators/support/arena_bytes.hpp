// What a block takes of memory that is handed out upwards.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

// In whole steps of its alignment, so that the next of its kind follows without padding; no more than the default one
// is worth that.
[[gnu::always_inline]] constexpr std::size_t arena_bytes(std::size_t size, std::size_t alignment) noexcept {
  return bits::round_up(size + (size == 0), std::min(alignment, kDefaultAlignment));
}

// Where a block of so many bytes begins in the memory from `next` to `end`; nullptr: it has no room there.
//
// No sum overflows: addresses of a process lie below 2^62, and an alignment is at most 2^63. Of a size that is known
// when this is compiled one comparison is left. `bytes` is 0 where a size was rounded up beyond all addresses.
[[gnu::always_inline]] inline std::byte* fit_upwards(std::byte* next, const std::byte* end, std::size_t bytes,
                                                     std::size_t alignment) noexcept {
  constexpr std::size_t kMost = std::size_t{1} << 62;
  const std::uintptr_t first = (reinterpret_cast<std::uintptr_t>(next) + (alignment - 1)) & -alignment;
  if (bytes - 1 >= kMost || first + bytes > reinterpret_cast<std::uintptr_t>(end)) [[unlikely]]
    return nullptr;
  if (first == 0) __builtin_unreachable();  // who knows that it has a block does not look again
  return reinterpret_cast<std::byte*>(first);
}

}  // namespace memtool
