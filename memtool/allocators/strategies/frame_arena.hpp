// A frame arena: everything that a frame allocates is freed at once, at the end of the frame or a few frames later.
//
// The outermost scope is a frame. Frames take their memory from several buffers in turn. With two buffers, the results
// of one frame can still be read while the next frame runs, as when a game hands a frame to its renderer; the heap then
// holds two frames. A scope within a frame is a mark in the frame's buffer. Blocks allocated outside of any frame are
// never freed.
//
// A block can be resized in place within the scope that allocated it. A buffer is a chain of chunks, which it keeps
// from frame to frame. So once it has served the largest frame, it takes no more memory from the region.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/arena_bytes.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/common_parameters.hpp"

namespace memtool {

class FrameArena {
  struct Chunk;

 public:
  // Where a scope within a frame began.
  struct Marker {
    Chunk* chunk;
    std::byte* next;
    std::byte* scope;
  };

  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "buffers",
       .summary = "number of frames whose memory is kept, including the current one",
       .default_value = 2,
       .minimum = 1,
       .maximum = 4,
       .unit = "count"},
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "frame-arena",
      .family = "arena",
      .summary = "One arena for each frame, from several buffers in turn; the end of a frame empties the oldest one.",
      .source = "Gregory, Game Engine Architecture, 3rd ed. 2018, 6.2 (single-frame and double-buffered allocators)",
      .complexity = "allocate O(1), deallocate nothing, end of a frame or of a scope within it O(1)",
      .when = "frames, ticks and requests whose results are read while the next ones are made",
      .parameters = kParameters,
      .free_order = FreeOrder::reset,
  };

  FrameArena(Region& region, const Parameters& parameters) noexcept
      : region_(region),
        chunk_(bits::round_up(parameters["chunk"], kDefaultAlignment)),
        frames_(parameters["buffers"]) {}
  static Limits limits(const Parameters&) { return {.least_alignment = 1}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t bytes = arena_bytes(size, alignment);
    std::byte* const block = fit_upwards(buffer_->next, buffer_->end, bytes, alignment);
    if (block == nullptr) [[unlikely]]
      return bytes < size ? nullptr : allocate_elsewhere(bytes, alignment);
    buffer_->next = block + bytes;
    return block;
  }
  void deallocate(void*, std::size_t, std::size_t) noexcept {}

  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    const std::size_t old_bytes = arena_bytes(old_size, alignment);
    const std::size_t bytes = arena_bytes(new_size, alignment);
    auto* at = static_cast<std::byte*>(block);
    // A block from before the scope must not move the top, because the end of the scope frees everything above its
    // start.
    const bool youngest = at + old_bytes == buffer_->next && at >= scope_;
    const bool fits = youngest && bytes <= static_cast<std::size_t>(buffer_->end - at);
    if (bytes >= new_size && (fits || bytes <= old_bytes)) {
      if (youngest) buffer_->next = at + bytes;
      return block;
    }
    void* fresh = allocate(new_size, alignment);
    if (fresh != nullptr) std::memcpy(fresh, block, std::min(old_size, new_size));
    return fresh;
  }

  Marker mark() noexcept {
    if (depth_++ == 0) {
      const Marker outside{nullptr, nullptr, scope_};
      buffer_ = &buffers_[1 + frame_];
      scope_ = buffer_->next;
      return outside;
    }
    const Marker marker{buffer_->chunk, buffer_->next, scope_};
    scope_ = buffer_->next;
    return marker;
  }
  // The end of a frame empties the buffer that the next frame will use.
  void release(const Marker& marker) noexcept {
    scope_ = marker.scope;
    if (--depth_ > 0) {
      buffer_->enter(marker.chunk != nullptr ? marker.chunk : buffer_->first);
      if (marker.chunk != nullptr) buffer_->next = marker.next;  // otherwise the buffer was empty at the mark
      return;
    }
    frame_ = (frame_ + 1) % frames_;
    buffers_[1 + frame_].enter(buffers_[1 + frame_].first);
    buffer_ = &buffers_[0];
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept { return size + (size == 0); }
  // The number of live bytes is unknown: a free leaves no trace. Only the buffer in use can allocate from the free
  // bytes shown.
  HeapStats stats() const noexcept {
    const auto room = static_cast<std::size_t>(buffer_->end - buffer_->next);
    std::size_t free_bytes = room;
    std::size_t largest = room;
    std::size_t free_blocks = room > 0 ? 1 : 0;
    for (const Chunk* chunk = buffer_->chunk == nullptr ? nullptr : buffer_->chunk->next; chunk != nullptr;
         chunk = chunk->next, ++free_blocks) {
      free_bytes += chunk->bytes();
      largest = std::max(largest, chunk->bytes());
    }
    return {.free_bytes = free_bytes,
            .largest_free = largest,
            .free_blocks = free_blocks,
            .metadata_bytes = chunks_ * sizeof(Chunk)};
  }
  void walk(const BlockVisitor& visit) const {
    for (const Fill& fill : fills()) {
      const std::byte* begin = fill.chunk->begin();
      visit(fill.chunk, sizeof(Chunk), BlockState::metadata);
      if (fill.to > begin) visit(begin, static_cast<std::size_t>(fill.to - begin), BlockState::used);
      if (fill.to < fill.chunk->end)
        visit(fill.to, static_cast<std::size_t>(fill.chunk->end - fill.to), BlockState::free);
    }
  }
  void check() const {
    const std::byte* at = region_.base();
    for (const Fill& fill : fills()) {
      require(reinterpret_cast<const std::byte*>(fill.chunk) == at, "the chunks of the buffers do not fill the region");
      require(fill.chunk->begin() <= fill.to && fill.to <= fill.chunk->end, "a chunk is filled beyond its ends");
      at = fill.chunk->end;
    }
    require(at == region_.base() + region_.used(), "the last chunk does not end where the region does");
    require(depth_ > 0 || buffer_ == &buffers_[0], "outside of a frame memory comes from a frame's buffer");
  }

 private:
  struct alignas(kDefaultAlignment) Chunk {
    Chunk* next;
    std::byte* end;
    std::byte* filled;  // how far the chunk was filled when the buffer moved on to the next chunk

    [[nodiscard]] std::byte* begin() noexcept { return reinterpret_cast<std::byte*>(this + 1); }
    [[nodiscard]] const std::byte* begin() const noexcept { return reinterpret_cast<const std::byte*>(this + 1); }
    [[nodiscard]] std::size_t bytes() const noexcept { return static_cast<std::size_t>(end - begin()); }
  };

  struct Buffer {
    Chunk* first = nullptr;
    Chunk* last = nullptr;
    Chunk* chunk = nullptr;  // in use; the chunks behind it are free
    std::byte* next = nullptr;
    std::byte* end = nullptr;

    void enter(Chunk* entered) noexcept {
      chunk = entered;
      next = entered == nullptr ? nullptr : entered->begin();
      end = entered == nullptr ? nullptr : entered->end;
    }
  };

  // How far a chunk is filled.
  struct Fill {
    const Chunk* chunk;
    const std::byte* to;
  };

  static constexpr std::size_t kMostFrames = 4;

  // Allocates from the first chunk behind the current one with enough room. Chunks that it skips stay unused until the
  // next frame.
  [[gnu::noinline]] void* allocate_elsewhere(std::size_t bytes, std::size_t alignment) noexcept {
    Chunk* chunk = buffer_->chunk == nullptr ? buffer_->first : buffer_->chunk->next;
    while (chunk != nullptr && fit_upwards(chunk->begin(), chunk->end, bytes, alignment) == nullptr)
      chunk = chunk->next;
    if (chunk == nullptr) chunk = add_chunk(bytes, alignment);
    if (chunk == nullptr) return nullptr;
    if (buffer_->chunk != nullptr) buffer_->chunk->filled = buffer_->next;
    for (Chunk* passed = buffer_->chunk == nullptr ? buffer_->first : buffer_->chunk->next; passed != chunk;
         passed = passed->next)
      passed->filled = passed->begin();
    buffer_->enter(chunk);
    scope_ = chunk->begin();
    return allocate(bytes, alignment);
  }

  Chunk* add_chunk(std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t left = region_.capacity() - region_.used();
    std::byte* at = region_.base() + region_.used();
    if (left < sizeof(Chunk) || fit_upwards(at + sizeof(Chunk), at + left, bytes, alignment) == nullptr) return nullptr;
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(at + sizeof(Chunk)) & (alignment - 1);
    const std::size_t need = bits::round_up(sizeof(Chunk) + padding + bytes, alignof(Chunk));
    const std::size_t taken = std::min(std::max(need, chunk_), left);
    if (region_.grow(taken) == nullptr) return nullptr;
    auto* chunk = new (at) Chunk{.next = nullptr, .end = at + taken, .filled = nullptr};
    (buffer_->first == nullptr ? buffer_->first : buffer_->last->next) = chunk;
    buffer_->last = chunk;
    ++chunks_;
    return chunk;
  }

  // The fill of every chunk, by address.
  std::vector<Fill> fills() const {
    std::vector<Fill> fills;
    for (const Buffer& buffer : buffers_) {
      bool is_behind = buffer.chunk == nullptr;
      for (const Chunk* chunk = buffer.first; chunk != nullptr; chunk = chunk->next) {
        const bool in_use = chunk == buffer.chunk;
        fills.push_back({chunk, in_use ? buffer.next : is_behind ? chunk->begin() : chunk->filled});
        is_behind |= in_use;
      }
    }
    std::ranges::sort(fills, {}, &Fill::chunk);
    return fills;
  }

  Region& region_;
  std::size_t chunk_;
  std::size_t frames_;
  std::array<Buffer, 1 + kMostFrames> buffers_{};  // the first serves allocations outside of any frame
  Buffer* buffer_ = &buffers_[0];
  std::byte* scope_ = nullptr;  // where the scope begins in the current chunk
  std::size_t frame_ = 0;
  std::size_t depth_ = 0;
  std::size_t chunks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::FrameArena);
