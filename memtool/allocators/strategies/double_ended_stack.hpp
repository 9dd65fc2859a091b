// A double-ended stack: two stacks in one block of memory, which grow from its two ends towards each other.
//
// Requests from a given size upwards go to the high end and smaller ones to the low end. So two kinds of lifetimes,
// such as a level's large resources and a frame's small temporaries, each nest on their own and share the free memory
// between them. The header word before each block records the top of its stack before the block was allocated.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/headed_bytes.hpp"

namespace memtool {

class DoubleEndedStack {
 public:
  // The state of one end.
  struct End {
    std::byte* top;
    std::size_t granted;
    std::size_t blocks;
  };
  struct Marker {
    End low;
    End high;
  };

  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "bytes",
       .summary = "taken from the region at the start and shared by both ends",
       .default_value = 64 * 1024 * 1024,
       .minimum = 4096,
       .maximum = std::uint64_t{1} << 40},
      {.name = "high",
       .summary = "requests of at least this size go to the high end; 0: all of them",
       .default_value = 1024,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 40},
  }};
  static constexpr StrategyInfo info{
      .name = "double-ended-stack",
      .family = "arena",
      .summary = "Two stacks that grow towards each other: large requests at the high end, small ones at the low end.",
      .source = "Gregory, Game Engine Architecture, 3rd ed. 2018, 6.2 (double-ended stack allocators)",
      .complexity = "allocate O(1), deallocate O(1), end of a scope O(1)",
      .when = "two kinds of nested lifetimes in one fixed budget, such as those of a level and of its frames",
      .parameters = kParameters,
      .free_order = FreeOrder::lifo,
  };

  DoubleEndedStack(Region& region, const Parameters& parameters) noexcept
      : region_(region), high_from_(parameters["high"]) {
    const std::size_t bytes = std::min<std::size_t>(parameters["bytes"], region.capacity());
    if (region.grow(bytes) != nullptr) end_ += bits::round_down(bytes, kDefaultAlignment);
    now_.high.top = end_;
    floor_ = now_;
  }
  static Limits limits(const Parameters&) { return {.least_alignment = kHeaderWord}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    std::byte* block = find(size, alignment);
    if (block == nullptr) [[unlikely]]
      return nullptr;
    enter(block, size, alignment);
    return block;
  }

  void deallocate(void* block, std::size_t size, std::size_t) noexcept {
    End& end = end_of(now_, size);
    end = {.top = top_before(block), .granted = end.granted - headed_usable(size), .blocks = end.blocks - 1};
    // A block older than the scope is freed: the end of the scope must not bring it back.
    if (end.top < floor_.low.top || end.top > floor_.high.top) [[unlikely]]
      end_of(floor_, size) = end;
  }

  // Only the youngest block of an end can be resized, because only that block can be freed. It is popped, and then
  // pushed again with its new size. At the low end this leaves it in place.
  [[gnu::noinline]] void* reallocate(void* block, std::size_t old_size, std::size_t new_size,
                                     std::size_t alignment) noexcept {
    auto* at = static_cast<std::byte*>(block);
    const bool was_high = is_high(old_size);
    if (was_high ? at - kHeader != now_.high.top : at + headed_bytes(old_size, alignment) != now_.low.top)
      return nullptr;
    const bool is_older = was_high ? at >= floor_.high.top : at < floor_.low.top;
    const Marker now = now_;
    const Marker floor = floor_;
    deallocate(block, old_size, alignment);
    std::byte* place = find(new_size, alignment);
    if (place == nullptr) {
      now_ = now;
      floor_ = floor;
      return nullptr;
    }
    std::memmove(place, block, std::min(old_size, new_size));  // before the new header overwrites the old contents
    enter(place, new_size, alignment);
    if (is_older) end_of(floor_, new_size) = end_of(now_, new_size);  // the block outlives the scope
    return place;
  }

  // Scopes end in the reverse order of their beginning.
  Marker mark() noexcept {
    const Marker around = floor_;
    floor_ = now_;
    return around;
  }
  void release(const Marker& around) noexcept {
    now_ = floor_;
    if (around.low.top < floor_.low.top) floor_.low = around.low;
    if (around.high.top > floor_.high.top) floor_.high = around.high;
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept { return headed_usable(size); }
  HeapStats stats() const noexcept {
    const auto room = static_cast<std::size_t>(now_.high.top - now_.low.top);
    const std::size_t granted = now_.low.granted + now_.high.granted;
    // Metadata is everything used but not granted: headers and the padding around aligned blocks.
    return {.granted = granted,
            .free_bytes = room,
            .largest_free = room > 2 * kDefaultAlignment ? room - 2 * kDefaultAlignment : 0,
            .free_blocks = room > 0 ? 1u : 0u,
            .used_blocks = now_.low.blocks + now_.high.blocks,
            .metadata_bytes = region_.used() - room - granted};
  }
  void walk(const BlockVisitor& visit) const {
    const auto span = [&](const std::byte* from, const std::byte* to, BlockState state) {
      if (to > from) visit(from, static_cast<std::size_t>(to - from), state);
    };
    span(region_.base(), now_.low.top, BlockState::used);
    span(now_.low.top, now_.high.top, BlockState::free);
    span(now_.high.top, end_, BlockState::used);
    span(end_, region_.base() + region_.used(), BlockState::metadata);
  }
  void check() const {
    const std::byte* base = region_.base();
    require(base <= now_.low.top && now_.low.top <= now_.high.top && now_.high.top <= end_,
            "the two ends have crossed");
    require(base <= floor_.low.top && floor_.low.top <= now_.low.top, "a scope leads to above the low end");
    require(now_.high.top <= floor_.high.top && floor_.high.top <= end_, "a scope leads to below the high end");
    require(now_.low.granted <= static_cast<std::size_t>(now_.low.top - base) &&
                now_.high.granted <= static_cast<std::size_t>(end_ - now_.high.top),
            "more is granted than lies at an end");
    require((now_.low.blocks == 0) == (now_.low.top == base), "an empty low end does not begin at the base");
    require((now_.high.blocks == 0) == (now_.high.top == end_), "an empty high end does not begin at the end");
  }

 private:
  static constexpr std::size_t kHeader = kHeaderWord;

  static std::byte*& top_before(void* block) noexcept { return static_cast<std::byte**>(block)[-1]; }

  [[nodiscard]] bool is_high(std::size_t size) const noexcept { return size >= high_from_; }
  [[nodiscard]] End& end_of(Marker& ends, std::size_t size) const noexcept {
    return is_high(size) ? ends.high : ends.low;
  }

  // Returns where a block would lie; nullptr: it does not fit between the ends.
  [[nodiscard]] std::byte* find(std::size_t size, std::size_t alignment) const noexcept {
    alignment = std::max(alignment, kHeader);
    const std::size_t bytes = headed_bytes(size, alignment);
    const auto room = static_cast<std::size_t>(now_.high.top - now_.low.top);
    if (bytes < size || bytes > room) return nullptr;
    const std::size_t left = room - bytes;
    if (is_high(size)) {
      std::byte* last = now_.high.top - bytes;
      const std::size_t padding = reinterpret_cast<std::uintptr_t>(last) & (alignment - 1);
      return padding + kHeader > left ? nullptr : last - padding;
    }
    std::byte* first = now_.low.top + kHeader;
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(first) & (alignment - 1);
    return padding + kHeader > left ? nullptr : first + padding;
  }

  // Makes `block` the youngest block of its end.
  void enter(std::byte* block, std::size_t size, std::size_t alignment) noexcept {
    End& end = end_of(now_, size);
    top_before(block) = end.top;
    end = {.top = is_high(size) ? block - kHeader : block + headed_bytes(size, alignment),
           .granted = end.granted + headed_usable(size),
           .blocks = end.blocks + 1};
  }

  Region& region_;
  std::size_t high_from_;
  std::byte* end_ = region_.base();
  Marker now_{{region_.base(), 0, 0}, {region_.base(), 0, 0}};
  // The state to which the end of the scope returns: the tops when the scope began, or less if older blocks were freed
  // since.
  Marker floor_ = now_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::DoubleEndedStack);
