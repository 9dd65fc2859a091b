// A block of memory between its physical neighbours, with Knuth's boundary tags (TAOCP 1, 2.5, 1968) in the form of
// Lea's malloc: every block has one word in front, and only free blocks have a second one at their end.
//
//   used:  | tag | payload .................................. |
//   free:  | tag | next free | previous free | ....... | size |
//
// A block extends from its tag to the next block's tag. Both neighbours are found in constant time: the next one by
// this block's size, and the previous one, if it is free, by the size at its end. So a used block costs 8 bytes, and
// its payload extends to the next tag.
#pragma once

#include <cstddef>
#include <cstdint>

#include "allocators/support/bits.hpp"

namespace memtool {

class PhysicalBlock {
 public:
  static constexpr std::size_t kGranule = 16;  // sizes are multiples of it, and payloads are aligned to it
  static constexpr std::size_t kHeader = sizeof(std::uint64_t);
  static constexpr std::size_t kMinimum = 32;  // tag, two links and the size at the end

  // Size of the block that serves a request; `size` must be far from overflow.
  [[nodiscard]] static constexpr std::size_t bytes_for(std::size_t size) noexcept {
    const std::size_t bytes = bits::round_up(size + kHeader, kGranule);
    return bytes < kMinimum ? kMinimum : bytes;
  }

  [[nodiscard]] static PhysicalBlock* at(void* address) noexcept { return static_cast<PhysicalBlock*>(address); }
  [[nodiscard]] static PhysicalBlock* of(const void* payload) noexcept {
    return at(static_cast<std::byte*>(const_cast<void*>(payload)) - kHeader);
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return tag_ & ~kFlags; }
  [[nodiscard]] bool is_free() const noexcept { return (tag_ & kFree) != 0; }
  [[nodiscard]] bool previous_is_free() const noexcept { return (tag_ & kPreviousFree) != 0; }

  [[nodiscard]] std::byte* payload() noexcept { return start() + kHeader; }
  [[nodiscard]] std::byte* start() noexcept { return reinterpret_cast<std::byte*>(this); }
  [[nodiscard]] PhysicalBlock* after(std::size_t bytes) noexcept { return at(start() + bytes); }
  [[nodiscard]] PhysicalBlock* next_physical() noexcept { return after(bytes()); }
  // Only valid if previous_is_free().
  [[nodiscard]] std::size_t previous_bytes() const noexcept { return reinterpret_cast<const std::uint64_t*>(this)[-1]; }
  [[nodiscard]] PhysicalBlock* previous_physical() noexcept { return at(start() - previous_bytes()); }

  // Makes a used block of `bytes`. The flag for the previous block does not change.
  void set_used(std::size_t bytes) noexcept { tag_ = bytes | (tag_ & kPreviousFree); }
  // Makes a free block of `bytes` whose previous block is used, because two free blocks never touch. The caller must
  // update the flag in the next block.
  void set_free(std::size_t bytes) noexcept {
    tag_ = bytes | kFree;
    reinterpret_cast<std::uint64_t*>(after(bytes))[-1] = bytes;
  }
  void set_previous_free() noexcept { tag_ |= kPreviousFree; }
  void set_previous_used() noexcept { tag_ &= ~kPreviousFree; }
  // The tag that ends the heap: a used block of size 0.
  void set_end() noexcept { tag_ = 0; }
  // A used block between used ones, carved from memory that holds no tag yet.
  void initialise_used(std::size_t bytes) noexcept { tag_ = bytes; }

  // Links of the free list; in a used block they are payload.
  PhysicalBlock* next_free() const noexcept { return next_free_; }
  PhysicalBlock* previous_free() const noexcept { return previous_free_; }
  void set_next_free(PhysicalBlock* block) noexcept { next_free_ = block; }
  void set_previous_free(PhysicalBlock* block) noexcept { previous_free_ = block; }

 private:
  static constexpr std::uint64_t kFree = 1;
  static constexpr std::uint64_t kPreviousFree = 2;
  static constexpr std::uint64_t kFlags = kGranule - 1;

  std::uint64_t tag_;  // size and flags
  PhysicalBlock* next_free_;
  PhysicalBlock* previous_free_;
};

}  // namespace memtool
