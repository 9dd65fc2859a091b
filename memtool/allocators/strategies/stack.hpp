// A stack: frees take only the youngest block, or everything down to a marker.
//
// The header word before each block records the top of the stack before the block was allocated, so freeing a block
// also frees the padding before it.
#pragma once

#include <algorithm>
#include <array>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/headed_bytes.hpp"

namespace memtool {

class Stack {
 public:
  // The totals of everything below an address of the stack.
  struct Level {
    std::byte* top;
    std::size_t granted;
    std::size_t blocks;
  };
  using Marker = Level;  // of the enclosing scope

  static constexpr std::array<ParameterInfo, 1> kParameters{{
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "stack",
      .family = "arena",
      .summary = "Last in, first out, with markers; one word of metadata for each block.",
      .source = "Gregory, Game Engine Architecture, 3rd ed. 2018, 6.2 (stack allocators)",
      .complexity = "allocate O(1), deallocate O(1)",
      .when = "strictly nested lifetimes",
      .parameters = kParameters,
      .free_order = FreeOrder::lifo,
  };

  Stack(Region& region, const Parameters& parameters) noexcept : region_(region), chunk_(parameters["chunk"]) {}
  static Limits limits(const Parameters&) { return {.least_alignment = kHeaderWord}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    alignment = std::max(alignment, kHeader);
    const std::size_t bytes = headed_bytes(size, alignment);
    if (bytes < size) return nullptr;
    const auto first = reinterpret_cast<std::uintptr_t>(now_.top) + kHeader;
    const std::size_t before = kHeader + (-first & (alignment - 1));
    const auto room = static_cast<std::size_t>(end_ - now_.top);
    if (before > room || bytes > room - before) [[unlikely]] {
      if (!grow(bytes, before)) return nullptr;
    }
    std::byte* block = now_.top + before;
    previous_top(block) = now_.top;
    now_.top = block + bytes;
    now_.granted += headed_usable(size);
    ++now_.blocks;
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t) noexcept {
    now_.top = previous_top(block);
    now_.granted -= headed_usable(size);
    --now_.blocks;
    if (now_.top < floor_.top) [[unlikely]]
      floor_ = now_;
  }
  // Resizes the youngest block in place. Another block cannot be resized, just as it cannot be freed.
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    auto* at = static_cast<std::byte*>(block);
    const std::size_t old_bytes = headed_bytes(old_size, alignment);
    const std::size_t bytes = headed_bytes(new_size, alignment);
    if (at + old_bytes != now_.top || bytes < new_size) return nullptr;
    if (bytes > old_bytes) {
      const std::size_t more = bytes - old_bytes;
      if (more > static_cast<std::size_t>(end_ - now_.top) && !grow(more, 0)) return nullptr;
    }
    now_.top = at + bytes;
    now_.granted = now_.granted - headed_usable(old_size) + headed_usable(new_size);
    if (at < floor_.top) floor_ = now_;
    return block;
  }

  // Scopes end in the reverse order of their beginning.
  Marker mark() noexcept {
    const Marker around = floor_;
    floor_ = now_;
    return around;
  }
  void release(const Marker& around) noexcept {
    now_ = floor_;
    if (around.top < floor_.top) floor_ = around;
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept { return headed_usable(size); }
  HeapStats stats() const noexcept {
    const auto room = static_cast<std::size_t>(end_ - now_.top);
    const auto used = static_cast<std::size_t>(now_.top - region_.base());
    // Metadata is everything used but not granted: headers and the padding before aligned blocks.
    return {.granted = now_.granted,
            .free_bytes = room,
            .largest_free = room > kHeader ? room - kHeader : 0,
            .free_blocks = room > 0 ? 1u : 0u,
            .used_blocks = now_.blocks,
            .metadata_bytes = used - now_.granted};
  }
  void walk(const BlockVisitor& visit) const {
    const auto used = static_cast<std::size_t>(now_.top - region_.base());
    if (used > 0) visit(region_.base(), used, BlockState::used);
    if (end_ > now_.top) visit(now_.top, static_cast<std::size_t>(end_ - now_.top), BlockState::free);
  }
  void check() const {
    require(region_.base() <= now_.top && now_.top <= end_, "the top lies outside what was taken");
    require(end_ == region_.base() + region_.used(), "the stack does not end where its region does");
    require(region_.base() <= floor_.top && floor_.top <= now_.top, "a scope leads to above the top");
    require(now_.granted <= static_cast<std::size_t>(now_.top - region_.base()),
            "more is granted than lies below the top");
    require(now_.blocks != 0 || now_.top == region_.base(), "an empty stack does not begin at its base");
  }

 private:
  static constexpr std::size_t kHeader = kHeaderWord;

  static std::byte*& previous_top(void* block) noexcept { return static_cast<std::byte**>(block)[-1]; }

  [[gnu::noinline]] bool grow(std::size_t bytes, std::size_t before) noexcept {
    const auto room = static_cast<std::size_t>(end_ - now_.top);
    const std::size_t left = region_.capacity() - region_.used();
    if (bytes > left + room || before > left + room - bytes) return false;
    const std::size_t step = std::min(std::max(bytes + before - room, chunk_), left);
    if (region_.grow(step) == nullptr) return false;
    end_ += step;
    return true;
  }

  Region& region_;
  std::size_t chunk_;
  std::byte* end_ = region_.base();
  Level now_{.top = region_.base(), .granted = 0, .blocks = 0};
  // The level to which the end of the scope returns: the top when the scope began, or lower if older blocks were freed
  // since.
  Level floor_ = now_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Stack);
