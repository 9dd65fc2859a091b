// Arithmetic on sizes, addresses and words that strategies share.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace memtool::bits {

// `alignment` must be a power of two.
[[nodiscard]] constexpr std::size_t round_up(std::size_t value, std::size_t alignment) noexcept {
  return (value + alignment - 1) & ~(alignment - 1);
}
[[nodiscard]] constexpr std::size_t round_down(std::size_t value, std::size_t alignment) noexcept {
  return value & ~(alignment - 1);
}
[[nodiscard]] inline bool is_aligned(const void* address, std::size_t alignment) noexcept {
  return (reinterpret_cast<std::uintptr_t>(address) & (alignment - 1)) == 0;
}
[[nodiscard]] inline std::byte* align_up(void* address, std::size_t alignment) noexcept {
  auto* bytes = static_cast<std::byte*>(address);
  return bytes + (-reinterpret_cast<std::uintptr_t>(bytes) & (alignment - 1));
}
// Index of the highest set bit; `value` must not be 0.
[[nodiscard]] constexpr unsigned log2_floor(std::uint64_t value) noexcept {
  return 63u - static_cast<unsigned>(std::countl_zero(value));
}
[[nodiscard]] constexpr unsigned log2_ceil(std::uint64_t value) noexcept {
  return value <= 1 ? 0 : log2_floor(value - 1) + 1;
}

}  // namespace memtool::bits
