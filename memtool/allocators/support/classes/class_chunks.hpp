// Chunks of pages that are cut into blocks of one size class: the common part of the pools with size classes. The run
// of a chunk carries a tag that identifies its owner.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/classes/large_blocks.hpp"
#include "allocators/support/classes/page_runs.hpp"

namespace memtool::class_chunks {

// Takes a new chunk and returns its whole blocks, or none if memory is exhausted. A chunk holds at least eight blocks,
// so that large classes do not waste its tail. Near the end of the region it takes the rest.
inline std::span<std::byte> take(PageRuns& runs, std::size_t chunk_bytes, std::size_t size,
                                 std::uint32_t tag) noexcept {
  for (const std::size_t least : {std::max(chunk_bytes, 8 * size), size}) {
    const std::size_t bytes = bits::round_up(least, PageRuns::kPage);
    void* chunk = runs.allocate(bytes / PageRuns::kPage, PageRuns::kPage);
    if (chunk == nullptr) continue;
    runs.set_tag(chunk, tag);
    return {static_cast<std::byte*>(chunk), bytes / size * size};
  }
  return {};
}

// Visits a chunk's blocks. The blocks in [fresh, end) and those in `free`, which is sorted, are free. The tail of a
// chunk, too short for a whole block, is shown as metadata.
inline void walk(std::byte* chunk, std::size_t bytes, std::size_t size, const std::byte* fresh, const std::byte* end,
                 const std::vector<const std::byte*>& free, const BlockVisitor& visit) {
  std::byte* block = chunk;
  for (; block + size <= chunk + bytes; block += size) {
    const bool is_fresh = block >= fresh && block < end;
    visit(block, size, is_fresh || std::ranges::binary_search(free, block) ? BlockState::free : BlockState::used);
  }
  if (block < chunk + bytes) visit(block, static_cast<std::size_t>(chunk + bytes - block), BlockState::metadata);
}

// The figures of the page runs and of the large blocks. `apart`: other bytes outside of the region.
inline HeapStats stats_of_pages(const PageRuns& runs, const LargeBlocks& large, std::size_t apart) noexcept {
  return {.granted = large.bytes(),
          .free_bytes = runs.free_bytes(),
          .largest_free = runs.largest_free(),
          .free_blocks = runs.free_runs(),
          .used_blocks = large.blocks(),
          .metadata_bytes = runs.table_bytes() + apart,
          .metadata_apart_bytes = runs.table_bytes() + apart};
}

// Adds a class of blocks of `size` bytes.
inline void add_class(HeapStats& stats, std::size_t size, std::size_t used, std::size_t spare) noexcept {
  stats.granted += used * size;
  stats.used_blocks += used;
  stats.free_bytes += spare * size;
  stats.free_blocks += spare;
  if (spare > 0) stats.largest_free = std::max<std::uint64_t>(stats.largest_free, size);
}

}  // namespace memtool::class_chunks
