// What a block takes of memory that is handed out upwards.
#pragma once

#include <algorithm>
#include <cstddef>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

// In whole steps of its alignment, so that the next of its kind follows without padding; no more than the default one
// is worth that.
[[gnu::always_inline]] constexpr std::size_t arena_bytes(std::size_t size, std::size_t alignment) noexcept {
  return bits::round_up(size + (size == 0), std::min(alignment, kDefaultAlignment));
}

}  // namespace memtool
