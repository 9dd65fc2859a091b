// Segregated pools: one fixed-size pool for each size class, and runs of pages for what is larger.
//
// The sized deallocate names the class, so no block needs a header. A chunk stays with its class for good: that is what
// makes both paths a table look-up and one list operation, and what it costs when a workload changes its sizes.
#pragma once

#include <algorithm>
#include <array>
#include <new>
#include <vector>

#include "allocators/support/class_table.hpp"
#include "allocators/support/page_runs.hpp"
#include "engine/registry.hpp"

namespace memtool {

class SegregatedPool {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "spacing",
       .summary = "log2 of the size classes to a doubling",
       .default_value = 2,
       .minimum = 1,
       .maximum = 3,
       .unit = "count"},
      {.name = "chunk",
       .summary = "taken for a class at a time",
       .default_value = 64 * 1024,
       .minimum = 4096,
       .maximum = 1 << 24},
  }};
  static constexpr StrategyInfo info{
      .name = "segregated-pool",
      .family = "pool",
      .summary = "One pool a size class, no headers; page runs for requests above 32 KiB.",
      .source =
          "Wilson et al., \"Dynamic storage allocation: a survey and critical review\", IWMM 1995, 3.6 (simple "
          "segregated storage)",
      .complexity = "allocate O(1), deallocate O(1); page runs by bins of their length",
      .when = "mixed sizes whose mix is stable",
      .parameters = kParameters,
  };

  SegregatedPool(Region& region, const Parameters& parameters) noexcept
      : runs_(region),
        region_(region),
        classes_(static_cast<unsigned>(parameters["spacing"])),
        chunk_(bits::round_up(parameters["chunk"], PageRuns::kPage)) {}

  static Limits limits(const Parameters&) { return {}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return allocate_large(size, alignment);
    Pool& pool = pools_[index];
    Link* block = pool.free;
    if (block == nullptr) [[unlikely]]
      return carve(index);
    pool.free = block->next;
    ++pool.used;
    return block;
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return deallocate_large(block);
    Pool& pool = pools_[index];
    pool.free = new (block) Link{pool.free};
    --pool.used;
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::uint32_t index = runs_.tag(block);
    return index == PageRuns::kNoTag ? runs_.run_bytes(block) : classes_.size(index);
  }

  HeapStats stats() const noexcept {
    std::size_t granted = large_bytes_;
    std::size_t used = large_blocks_;
    std::size_t free_bytes = runs_.free_bytes();
    std::size_t free_blocks = runs_.free_runs();
    std::size_t largest_free = runs_.largest_free();
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Pool& pool = pools_[index];
      granted += pool.used * classes_.size(index);
      used += pool.used;
      const std::size_t spare = pool.blocks - pool.used;
      free_bytes += spare * classes_.size(index);
      free_blocks += spare;
      if (spare > 0) largest_free = std::max(largest_free, classes_.size(index));
    }
    return {.granted = granted,
            .free_bytes = free_bytes,
            .largest_free = largest_free,
            .free_blocks = free_blocks,
            .used_blocks = used,
            .metadata_bytes = runs_.table_bytes(),
            .metadata_apart_bytes = runs_.table_bytes()};
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<std::byte*> free = free_blocks();
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t index = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (index == PageRuns::kNoTag) {
        visit(address, bytes, is_free ? BlockState::free : BlockState::used);
        return;
      }
      const std::size_t size = classes_.size(index);
      const Pool& pool = pools_[index];
      std::byte* block = address;
      for (; block + size <= address + bytes; block += size) {
        const bool fresh = block >= pool.fresh && block < pool.end;
        visit(block, size, fresh || std::ranges::binary_search(free, block) ? BlockState::free : BlockState::used);
      }
      if (block < address + bytes)
        visit(block, static_cast<std::size_t>(address + bytes - block), BlockState::metadata);
    });
  }

  void check() const {
    runs_.check();
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Pool& pool = pools_[index];
      std::size_t listed = static_cast<std::size_t>(pool.end - pool.fresh) / classes_.size(index);
      for (const Link* link = pool.free; link != nullptr; link = link->next) {
        require(region_.contains(link, classes_.size(index)), "a free list leaves the region");
        require(++listed <= pool.blocks, "a free list is longer than its pool");
      }
      require(listed + pool.used == pool.blocks, "used and free blocks of a class do not add up to its chunks'");
    }
  }

 private:
  struct Link {
    Link* next;
  };
  struct Pool {
    Link* free = nullptr;
    std::size_t used = 0;
    std::byte* fresh = nullptr;  // never handed out from here to end
    std::byte* end = nullptr;
    std::size_t blocks = 0;  // of all chunks
  };

  [[gnu::noinline]] void* carve(std::size_t index) noexcept {
    Pool& pool = pools_[index];
    const std::size_t size = classes_.size(index);
    if (pool.fresh == pool.end) {
      // At least eight blocks, so that large classes do not waste a chunk's tail.
      std::size_t bytes = std::max(chunk_, bits::round_up(8 * size, PageRuns::kPage));
      void* chunk = runs_.allocate(bytes / PageRuns::kPage, PageRuns::kPage);
      if (chunk == nullptr) {
        // Near the end of the region fewer pages may still be had.
        bytes = bits::round_up(size, PageRuns::kPage);
        chunk = runs_.allocate(bytes / PageRuns::kPage, PageRuns::kPage);
      }
      if (chunk == nullptr) return nullptr;
      pool.fresh = static_cast<std::byte*>(chunk);
      pool.end = pool.fresh + bytes / size * size;
      pool.blocks += bytes / size;
      runs_.set_tag(chunk, static_cast<std::uint32_t>(index));
    }
    std::byte* block = pool.fresh;
    pool.fresh += size;
    ++pool.used;
    return block;
  }

  [[gnu::noinline]] void* allocate_large(std::size_t size, std::size_t alignment) noexcept {
    void* run = runs_.allocate(PageRuns::pages_for(size), std::max(alignment, PageRuns::kPage));
    if (run != nullptr) {
      large_bytes_ += runs_.run_bytes(run);
      ++large_blocks_;
    }
    return run;
  }
  [[gnu::noinline]] void deallocate_large(void* block) noexcept {
    large_bytes_ -= runs_.run_bytes(block);
    --large_blocks_;
    runs_.deallocate(block);
  }

  std::vector<std::byte*> free_blocks() const {
    std::vector<std::byte*> blocks;
    for (const Pool& pool : pools_)
      for (Link* link = pool.free; link != nullptr; link = link->next)
        blocks.push_back(reinterpret_cast<std::byte*>(link));
    std::ranges::sort(blocks);
    return blocks;
  }

  std::array<Pool, SizeClasses::kMost> pools_{};
  PageRuns runs_;
  Region& region_;
  ClassTable classes_;
  std::size_t chunk_;
  std::size_t large_bytes_ = 0;
  std::size_t large_blocks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::SegregatedPool);
