// A stack: only the youngest block can be taken back, or everything down to a marker.
//
// The word before each block holds where the stack ended before it, so that freeing a block gives back its padding too.
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "allocators/support/bits.hpp"
#include "engine/registry.hpp"

namespace memtool {

class Stack {
 public:
  struct Marker {
    std::byte* top;
    std::size_t granted;
    std::size_t blocks;
  };

  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "chunk",
       .summary = "taken from the region at a time",
       .default_value = 64 * 1024,
       .minimum = 4096,
       .maximum = 1 << 30},
  }};
  static constexpr StrategyInfo info{
      .name = "stack",
      .family = "arena",
      .summary = "Last in, first out, with markers; one word of metadata a block.",
      .source = "Gregory, Game Engine Architecture, 3rd ed. 2018, 6.2 (stack allocators)",
      .complexity = "allocate O(1), deallocate O(1)",
      .when = "strictly nested lifetimes",
      .parameters = kParameters,
      .free_order = FreeOrder::lifo,
  };

  Stack(Region& region, const Parameters& parameters) noexcept : region_(region), chunk_(parameters["chunk"]) {}
  static Limits limits(const Parameters&) { return {}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    alignment = std::max(alignment, kDefaultAlignment);
    const std::size_t bytes = usable_size(nullptr, size);
    if (bytes < size) return nullptr;
    const auto first = reinterpret_cast<std::uintptr_t>(top_) + kHeader;
    const std::size_t before = kHeader + (-first & (alignment - 1));
    const auto room = static_cast<std::size_t>(end_ - top_);
    if (before > room || bytes > room - before) [[unlikely]] {
      if (!grow(bytes, before)) return nullptr;
    }
    std::byte* block = top_ + before;
    previous_top(block) = top_;
    top_ = block + bytes;
    granted_ += bytes;
    ++blocks_;
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t) noexcept {
    top_ = previous_top(block);
    granted_ -= usable_size(nullptr, size);
    --blocks_;
  }
  // In place, where the block is the youngest; another cannot be resized, as it cannot be freed.
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t) noexcept {
    auto* at = static_cast<std::byte*>(block);
    const std::size_t bytes = usable_size(nullptr, new_size);
    if (at + usable_size(nullptr, old_size) != top_ || bytes < new_size) return nullptr;
    if (bytes > static_cast<std::size_t>(end_ - at)) {
      std::byte* top = std::exchange(top_, at);
      if (!grow(bytes, 0)) {
        top_ = top;
        return nullptr;
      }
    }
    top_ = at + bytes;
    granted_ += bytes - usable_size(nullptr, old_size);
    return block;
  }
  Marker mark() noexcept { return {top_, granted_, blocks_}; }
  void release(const Marker& marker) noexcept {
    top_ = marker.top;
    granted_ = marker.granted;
    blocks_ = marker.blocks;
  }

  // Blocks end where the next header may begin: 8 bytes below a multiple of 16.
  std::size_t usable_size(const void*, std::size_t size) const noexcept {
    return bits::round_up(std::max<std::size_t>(size, kHeader) + kHeader, kDefaultAlignment) - kHeader;
  }
  HeapStats stats() const noexcept {
    const auto room = static_cast<std::size_t>(end_ - top_);
    const auto used = static_cast<std::size_t>(top_ - region_.base());
    // Headers and the padding before aligned blocks: all that is used and not granted.
    return {.granted = granted_,
            .free_bytes = room,
            .largest_free = room > kHeader ? room - kHeader : 0,
            .free_blocks = room > 0 ? 1u : 0u,
            .used_blocks = blocks_,
            .metadata_bytes = used - granted_};
  }
  void walk(const BlockVisitor& visit) const {
    const auto used = static_cast<std::size_t>(top_ - region_.base());
    if (used > 0) visit(region_.base(), used, BlockState::used);
    if (end_ > top_) visit(top_, static_cast<std::size_t>(end_ - top_), BlockState::free);
  }
  void check() const {
    require(region_.base() <= top_ && top_ <= end_, "the top lies outside what was taken");
    require(end_ == region_.base() + region_.used(), "the stack does not end where its region does");
    require(granted_ <= static_cast<std::size_t>(top_ - region_.base()), "more is granted than lies below the top");
    require(blocks_ != 0 || top_ == region_.base(), "an empty stack does not begin at its base");
  }

 private:
  static constexpr std::size_t kHeader = sizeof(std::byte*);

  static std::byte*& previous_top(void* block) noexcept { return static_cast<std::byte**>(block)[-1]; }

  [[gnu::noinline]] bool grow(std::size_t bytes, std::size_t before) noexcept {
    const auto room = static_cast<std::size_t>(end_ - top_);
    const std::size_t left = region_.capacity() - region_.used();
    if (bytes > left + room || before > left + room - bytes) return false;
    const std::size_t step = std::min(std::max(bytes + before - room, chunk_), left);
    if (region_.grow(step) == nullptr) return false;
    end_ += step;
    return true;
  }

  Region& region_;
  std::size_t chunk_;
  std::byte* top_ = region_.base();
  std::byte* end_ = region_.base();
  std::size_t granted_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Stack);
