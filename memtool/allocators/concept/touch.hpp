// How the program of a workload writes to its blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace memtool {

// The part of a block that the program of a workload writes.
enum class Touch : std::uint32_t { none = 0, first = 1, pages = 2, all = 3 };

// Writes to a fresh block as the program of the workload would.
[[gnu::always_inline]] inline void touch_block(Touch touch, void* block, std::uint64_t size) noexcept {
  auto* bytes = static_cast<volatile std::byte*>(block);
  if (size == 0) return;
  switch (touch) {
    case Touch::none:
      return;
    case Touch::first:
      *bytes = std::byte{1};
      return;
    case Touch::pages:
      for (std::uint64_t at = 0; at < size; at += 4096) bytes[at] = std::byte{1};
      return;
    case Touch::all:
      std::memset(block, 1, size);
      asm volatile("" ::"r"(block) : "memory");
      return;
  }
}

// Writes to the part by which a block has grown. The program has already written the rest.
[[gnu::always_inline]] inline void touch_grown(Touch touch, void* block, std::uint64_t old_size,
                                               std::uint64_t new_size) noexcept {
  if (new_size <= old_size) return;
  auto* bytes = static_cast<std::byte*>(block);
  switch (touch) {
    case Touch::none:
      return;
    case Touch::first:  // only if the block had no first byte before
      if (old_size == 0) *static_cast<volatile std::byte*>(bytes) = std::byte{1};
      return;
    case Touch::pages:
      for (std::uint64_t at = (old_size + 4095) / 4096 * 4096; at < new_size; at += 4096)
        *static_cast<volatile std::byte*>(bytes + at) = std::byte{1};
      return;
    case Touch::all:
      std::memset(bytes + old_size, 1, new_size - old_size);
      asm volatile("" ::"r"(block) : "memory");
      return;
  }
}

}  // namespace memtool
