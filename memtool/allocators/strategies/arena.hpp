// An arena: memory is handed out upwards and given back a scope at a time.
//
// The region is contiguous, so growing never leaves a gap and a marker is one address.
#pragma once

#include <algorithm>
#include <array>

#include "allocators/support/bits.hpp"
#include "engine/registry.hpp"

namespace memtool {

class Arena {
 public:
  struct Marker {
    std::byte* next;
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
      .name = "arena",
      .family = "arena",
      .summary = "Hands memory out upwards; a free does nothing, the end of a scope gives all of it back.",
      .source = "Hanson, \"Fast allocation and deallocation of memory based on object lifetimes\", SPE 20(1), 1990",
      .complexity = "allocate O(1), deallocate nothing, end of a scope O(1)",
      .when = "objects that all end together: a frame, a request, a parse",
      .parameters = kParameters,
      .free_order = FreeOrder::reset,
  };

  Arena(Region& region, const Parameters& parameters) noexcept : region_(region), chunk_(parameters["chunk"]) {}
  static Limits limits(const Parameters&) { return {}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(next_) & (alignment - 1);
    const std::size_t bytes = usable_size(nullptr, size);
    const auto room = static_cast<std::size_t>(end_ - next_);
    if (padding > room || bytes > room - padding || bytes < size) [[unlikely]] {
      if (!grow(bytes, padding)) return nullptr;
    }
    std::byte* block = next_ + padding;
    next_ = block + bytes;
    granted_ += bytes;
    ++blocks_;
    return block;
  }
  void deallocate(void*, std::size_t size, std::size_t) noexcept {
    granted_ -= usable_size(nullptr, size);
    --blocks_;
  }
  Marker mark() noexcept { return {next_, granted_, blocks_}; }
  void release(const Marker& marker) noexcept {
    next_ = marker.next;
    granted_ = marker.granted;
    blocks_ = marker.blocks;
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept {
    return bits::round_up(size + (size == 0), kDefaultAlignment);
  }
  // What was freed below next_ is neither granted nor free: only the end of its scope makes it either.
  HeapStats stats() const noexcept {
    const auto room = static_cast<std::size_t>(end_ - next_);
    return {.granted = granted_,
            .free_bytes = room,
            .largest_free = room,
            .free_blocks = room > 0 ? 1u : 0u,
            .used_blocks = blocks_,
            .metadata_bytes = 0};
  }
  void walk(const BlockVisitor& visit) const {
    const auto used = static_cast<std::size_t>(next_ - region_.base());
    if (used > 0) visit(region_.base(), used, BlockState::used);
    if (end_ > next_) visit(next_, static_cast<std::size_t>(end_ - next_), BlockState::free);
  }
  void check() const {
    require(region_.base() <= next_ && next_ <= end_, "the next address lies outside what was taken");
    require(end_ == region_.base() + region_.used(), "the arena does not end where its region does");
    require(granted_ <= static_cast<std::size_t>(next_ - region_.base()), "more is granted than was handed out");
  }

 private:
  [[gnu::noinline]] bool grow(std::size_t bytes, std::size_t padding) noexcept {
    const auto room = static_cast<std::size_t>(end_ - next_);
    const std::size_t left = region_.capacity() - region_.used();
    if (bytes == 0 || bytes > left + room || padding > left + room - bytes) return false;
    const std::size_t need = bytes + padding - room;
    const std::size_t step = std::min(std::max(need, chunk_), left);
    if (region_.grow(step) == nullptr) return false;
    end_ += step;
    return true;
  }

  Region& region_;
  std::size_t chunk_;
  std::byte* next_ = region_.base();
  std::byte* end_ = region_.base();
  std::size_t granted_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Arena);
