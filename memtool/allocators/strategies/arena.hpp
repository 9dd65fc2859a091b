// An arena: allocation moves a pointer upwards, and the end of a scope frees everything allocated in it.
//
// The region is contiguous, so growing never leaves a gap and a marker is one address.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/arena_bytes.hpp"
#include "allocators/support/common_parameters.hpp"

namespace memtool {

class Arena {
 public:
  struct Marker {
    std::byte* next;
    std::byte* scope;  // where the enclosing scope begins
  };

  static constexpr std::array<ParameterInfo, 1> kParameters{{
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "arena",
      .family = "arena",
      .summary = "Allocates upwards from chunks; frees do nothing, and the end of a scope frees everything in it.",
      .source = "Hanson, \"Fast allocation and deallocation of memory based on object lifetimes\", SPE 20(1), 1990",
      .complexity = "allocate O(1), deallocate nothing, end of a scope O(1); the youngest block is resized in place",
      .when = "objects whose lifetimes end together: those of a frame, a request or a parse",
      .parameters = kParameters,
      .free_order = FreeOrder::reset,
  };

  Arena(Region& region, const Parameters& parameters) noexcept : region_(region), chunk_(parameters["chunk"]) {}
  static Limits limits(const Parameters&) { return {.least_alignment = 1}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t bytes = arena_bytes(size, alignment);
    std::byte* const block = fit_upwards(next_, end_, bytes, alignment);
    if (block == nullptr) [[unlikely]]
      return allocate_beyond(bytes, alignment);
    next_ = block + bytes;
    return block;
  }
  void deallocate(void*, std::size_t, std::size_t) noexcept {}

  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    const std::size_t old_bytes = arena_bytes(old_size, alignment);
    const std::size_t bytes = arena_bytes(new_size, alignment);
    auto* at = static_cast<std::byte*>(block);
    // A block from before the scope must not move the top, because the end of the scope frees everything above its
    // start.
    const bool youngest = at + old_bytes == next_ && at >= scope_;
    if (bytes <= old_bytes && bytes >= new_size) {
      if (youngest) next_ = at + bytes;
      return block;
    }
    if (youngest && bytes >= new_size) {
      const std::size_t more = bytes - old_bytes;
      if (more > static_cast<std::size_t>(end_ - next_) && !grow(more, 0)) return nullptr;
      next_ += more;
      return block;
    }
    void* fresh = allocate(new_size, alignment);
    if (fresh != nullptr) std::memcpy(fresh, block, old_size);
    return fresh;
  }

  Marker mark() noexcept {
    const Marker marker{next_, scope_};
    scope_ = next_;
    return marker;
  }
  void release(const Marker& marker) noexcept {
    next_ = marker.next;
    scope_ = marker.scope;
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept { return size + (size == 0); }
  // The number of live bytes is unknown: a free leaves no trace, and counting frees would cost more than allocating.
  // Freed memory does not count as free either until its scope ends.
  HeapStats stats() const noexcept {
    const auto room = static_cast<std::size_t>(end_ - next_);
    return {.free_bytes = room, .largest_free = room, .free_blocks = room > 0 ? 1u : 0u, .metadata_bytes = 0};
  }
  void walk(const BlockVisitor& visit) const {
    const auto used = static_cast<std::size_t>(next_ - region_.base());
    if (used > 0) visit(region_.base(), used, BlockState::used);
    if (end_ > next_) visit(next_, static_cast<std::size_t>(end_ - next_), BlockState::free);
  }
  void check() const {
    require(region_.base() <= scope_ && scope_ <= next_, "the scope begins beyond the next address");
    require(next_ <= end_, "the next address lies beyond what was taken");
    require(end_ == region_.base() + region_.used(), "the arena does not end where its region does");
  }

 private:
  [[gnu::noinline]] void* allocate_beyond(std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(next_) & (alignment - 1);
    if (!grow(bytes, padding)) return nullptr;
    std::byte* const block = next_ + padding;
    next_ = block + bytes;
    return block;
  }
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
  std::byte* scope_ = region_.base();
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Arena);
