// Reads a persistent heap without changing it: its figures, its blocks, and whether it is consistent. Nothing in the
// heap is trusted until it is known to be in bounds.
#pragma once

#include <bit>
#include <string>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "allocators/support/persistent/layout.hpp"

namespace memtool::persistent {

inline const Head& head_of(const std::byte* base) noexcept {
  return *reinterpret_cast<const Head*>(base);
}
inline const ChunkHead& chunk_of(const std::byte* base, Offset at) noexcept {
  return *reinterpret_cast<const ChunkHead*>(base + at);
}

// Calls visit(offset, chunk, state) for each run.
template <class Visit>
void for_each_run(const std::byte* base, Visit visit) {
  for (Offset at = kChunk; at < head_of(base).end;) {
    const State state = State::read(chunk_of(base, at).state);
    visit(at, chunk_of(base, at), state);
    at += state.chunks() * kChunk;
  }
}

inline std::uint64_t blocks_in_use(const ChunkHead& slab, unsigned index) noexcept {
  std::uint64_t used = 0;
  for (std::uint64_t word = 0; word < words_of_class(index); ++word)
    used += static_cast<std::uint64_t>(std::popcount(slab.bitmap()[word]));
  return used;
}

// Whether a block that lies in the heap is in use: a slab or a run has a used block that begins there.
inline bool is_live(const std::byte* base, Offset block) noexcept {
  const Offset at = block & ~(kChunk - 1);
  const ChunkHead& run = chunk_of(base, at);
  const State state = State::read(run.state);
  if (at < kChunk || !state.is_sound(at)) return false;
  if (state.kind() == Kind::large) return block == at + run.data;
  if (state.kind() != Kind::slab || block < at + data_of_class(state.size_class())) return false;
  const std::uint64_t from = block - at - data_of_class(state.size_class());
  const std::uint64_t number = from / size_of_class(state.size_class());
  return from % size_of_class(state.size_class()) == 0 && number < blocks_of_class(state.size_class()) &&
         (run.bitmap()[number / 64] >> number % 64 & 1) != 0;
}

inline void require_heap(const Region& region) {
  const Head& head = head_of(region.base());
  require(region.capacity() >= kChunk && head.magic == kMagic, "the region holds no heap of this kind");
  require(head.end >= kChunk && head.end % kChunk == 0, "the end of the heap is not that of a chunk");
  require(head.end <= region.capacity(), "the heap is longer than the region that it is opened in");
  require(head.is_open <= 1, "the mark of an open heap is damaged");
}

inline void require_at(Offset run, bool holds, const char* words) {
  if (!holds) throw BrokenInvariant("the run at byte " + std::to_string(run) + ": " + words);
}

// Requires that the heap can be walked, and that no slab marks blocks in use beyond its end.
inline void require_runs(const std::byte* base) {
  const Offset end = head_of(base).end;
  for (Offset at = kChunk; at < end;) {
    const ChunkHead& run = chunk_of(base, at);
    const State state = State::read(run.state);
    require_at(at, state.is_sound(at), "its state is damaged");
    require_at(at, state.chunks() <= (end - at) / kChunk, "it is longer than the heap");
    if (state.kind() == Kind::large)
      require_at(at, run.data >= kHeadOfChunk && run.data <= kLargestAlignment && std::has_single_bit(run.data),
                 "its block begins nowhere");
    if (state.kind() == Kind::slab) {
      const std::uint64_t blocks = blocks_of_class(state.size_class()), words = words_of_class(state.size_class());
      bool is_beyond = false;
      for (std::uint64_t bit = blocks; bit < words * 64; ++bit)
        is_beyond = is_beyond || (run.bitmap()[bit / 64] >> bit % 64 & 1) != 0;
      require_at(at, !is_beyond, "its bitmap has blocks that it has no room for");
    }
    at += state.chunks() * kChunk;
  }
}

// Counts the runs on a list and requires that each of them belongs there.
inline std::uint64_t require_list(const std::byte* base, Offset first, Kind kind, unsigned index) {
  const Offset end = head_of(base).end;
  std::uint64_t count = 0;
  Offset before = 0;
  for (Offset at = first; at != 0; at = chunk_of(base, at).next) {
    require(at >= kChunk && at < end && at % kChunk == 0, "a list leads out of the heap");
    const State state = State::read(chunk_of(base, at).state);
    require(state.is_sound(at) && state.kind() == kind && state.size_class() == index,
            "a list has a run that does not belong there");
    require(chunk_of(base, at).before == before, "the links of a list do not lead back");
    require(++count <= end / kChunk, "a list goes round in a circle");
    before = at;
  }
  return count;
}

inline void check_heap(const Region& region) {
  const std::byte* base = region.base();
  require_heap(region);
  require_runs(base);
  const Head& head = head_of(base);
  std::uint64_t blocks = 0, bytes = 0, to_list = 0, listed = 0;
  for_each_run(base, [&](Offset, const ChunkHead& run, State state) {
    const unsigned index = state.size_class();
    if (state.kind() == Kind::free) ++to_list;
    if (state.kind() == Kind::large) ++blocks, bytes += state.chunks() * kChunk - run.data;
    if (state.kind() != Kind::slab) return;
    const std::uint64_t used = blocks_in_use(run, index);
    require(used == run.used, "the count of a slab's blocks is not that of its bitmap");
    require(run.hint < words_of_class(index), "the hint of a slab leads out of its bitmap");
    for (std::uint64_t word = 0; word < run.hint; ++word)
      require(~run.bitmap()[word] == 0, "a slab has a free block before its hint");
    blocks += used;
    bytes += used * size_of_class(index);
    if (used < blocks_of_class(index)) ++to_list;
  });
  require(blocks == head.live_blocks, "the count of blocks is not that of the bitmaps and runs");
  require(bytes == head.live_bytes, "the count of bytes is not that of the blocks");
  for (unsigned index = 0; index < kClasses; ++index)
    listed += require_list(base, head.partial[index], Kind::slab, index);
  listed += require_list(base, head.free_runs, Kind::free, 0);
  require(listed == to_list, "a slab with free blocks, or a free run, is on no list");
  require(head.root == 0 || (head.root >= kChunk && head.root < head.end && is_live(base, head.root)),
          "the root is no block");
  require(head.intent == 0, "an operation on a slot was left half done");
}

inline HeapStats stats_of(const std::byte* base) noexcept {
  const Head& head = head_of(base);
  HeapStats stats{.granted = head.live_bytes, .free_bytes = 0, .largest_free = 0, .free_blocks = 0};
  stats.used_blocks = head.live_blocks;
  stats.metadata_bytes = kChunk;
  for_each_run(base, [&](Offset, const ChunkHead& run, State state) {
    std::uint64_t count = 1, largest = state.chunks() * kChunk - kHeadOfChunk, free = state.chunks() * kChunk;
    if (state.kind() == Kind::large) {
      count = largest = free = 0;
      stats.metadata_bytes += run.data;
    } else if (state.kind() == Kind::slab) {
      count = blocks_of_class(state.size_class()) - run.used;
      largest = count == 0 ? 0 : size_of_class(state.size_class());
      free = count * size_of_class(state.size_class());
      stats.metadata_bytes += data_of_class(state.size_class());
    }
    stats.free_bytes += free;
    stats.free_blocks += count;
    stats.largest_free = std::max(stats.largest_free, largest);
  });
  return stats;
}

inline void walk_heap(std::byte* base, const BlockVisitor& visit) {
  visit(base, kChunk, BlockState::metadata);
  for_each_run(base, [&](Offset at, const ChunkHead& run, State state) {
    std::byte* const first = base + at;
    const std::uint64_t bytes = state.chunks() * kChunk;
    if (state.kind() == Kind::free) return visit(first, bytes, BlockState::free);
    if (state.kind() == Kind::large) {
      visit(first, run.data, BlockState::metadata);
      return visit(first + run.data, bytes - run.data, BlockState::used);
    }
    const std::uint64_t data = data_of_class(state.size_class()), size = size_of_class(state.size_class());
    const std::uint64_t blocks = blocks_of_class(state.size_class());
    visit(first, data, BlockState::metadata);
    for (std::uint64_t i = 0; i < blocks; ++i) {
      const bool is_used = (run.bitmap()[i / 64] >> i % 64 & 1) != 0;
      visit(first + data + i * size, size, is_used ? BlockState::used : BlockState::free);
    }
    if (data + blocks * size < kChunk)
      visit(first + data + blocks * size, kChunk - data - blocks * size, BlockState::metadata);
  });
}

}  // namespace memtool::persistent
