// Segregated pools: one fixed-size pool for each size class, and runs of pages for larger requests.
//
// The sized deallocate determines the class, so blocks need no header. A chunk never changes its class. Therefore both
// paths are a table look-up and one list operation; but when a workload changes its sizes, the free memory of the old
// classes is wasted.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/classes/class_chunks.hpp"
#include "allocators/support/classes/class_table.hpp"
#include "allocators/support/classes/large_blocks.hpp"
#include "allocators/support/classes/page_runs.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/free_list.hpp"

namespace memtool {

class SegregatedPool {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "spacing",
       .summary = "number of size classes in each doubling of the size",
       .default_value = 2,
       .unit = "choice",
       .choices = "1|2|4|8"},  // the index is the log2
      kLargestClass,
      kClassChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "segregated-pool",
      .family = "pool",
      .summary = "One pool for each size class, without headers; page runs for larger requests.",
      .source =
          "Wilson et al., \"Dynamic storage allocation: a survey and critical review\", IWMM 1995, 3.6 (simple "
          "segregated storage)",
      .complexity = "allocate O(1), deallocate O(1); page runs are found in bins by their length",
      .when = "mixed sizes whose proportions stay the same",
      .parameters = kParameters,
  };

  SegregatedPool(Region& region, const Parameters& parameters) noexcept
      : region_(region),
        runs_(region),
        classes_(static_cast<unsigned>(parameters["spacing"]), parameters["largest"]),
        chunk_(bits::round_up(parameters["chunk"], PageRuns::kPage)) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return large_.allocate(size, alignment);
    void* block = pools_[index].free.pop();
    return block != nullptr ? block : carve(index);
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return large_.deallocate(block);
    pools_[index].free.push(block);
  }

  // The page in which a block lies records its class.
  void deallocate(void* block) noexcept {
    const std::uint32_t index = runs_.tag(block);
    if (index == PageRuns::kNoTag) [[unlikely]]
      return large_.deallocate(block);
    pools_[index].free.push(block);
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::uint32_t index = runs_.tag(block);
    return index == PageRuns::kNoTag ? runs_.run_bytes(block) : classes_.size(index);
  }

  HeapStats stats() const noexcept {
    HeapStats stats = class_chunks::stats_of_pages(runs_, large_, 0);
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const std::size_t spare = spare_blocks(index);
      class_chunks::add_class(stats, classes_.size(index), pools_[index].blocks - spare, spare);
    }
    return stats;
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<const std::byte*> free = listed_blocks();
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t index = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (index == PageRuns::kNoTag) {
        visit(address, bytes, is_free ? BlockState::free : BlockState::used);
        return;
      }
      const Pool& pool = pools_[index];
      class_chunks::walk(address, bytes, classes_.size(index), pool.fresh, pool.end, free, visit);
    });
  }

  void check() const {
    runs_.check();
    std::array<std::size_t, SizeClasses::kMost> blocks{};
    runs_.for_each([&](const std::byte* address, std::size_t bytes, bool is_free) {
      if (is_free || runs_.tag(address) == PageRuns::kNoTag) return;
      blocks[runs_.tag(address)] += bytes / classes_.size(runs_.tag(address));
    });
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Pool& pool = pools_[index];
      require(blocks[index] == pool.blocks, "a class does not know how many blocks its chunks hold");
      require(spare_blocks(index) <= pool.blocks, "a free list is longer than its pool");
      for (const FreeList::Link* link = pool.free.top(); link != nullptr; link = link->next) {
        require(region_.contains(link, classes_.size(index)), "a free list leaves the region");
        require(runs_.tag(link) == index, "a free list holds a block of another class");
      }
    }
    const std::vector<const std::byte*> free = listed_blocks();
    require(std::ranges::adjacent_find(free) == free.end(), "a block is in the free lists twice");
  }

 private:
  // Each pool has its own cache line, because an operation touches one class.
  struct alignas(64) Pool {
    FreeList free;
    std::byte* fresh = nullptr;  // start of the blocks that were never allocated, up to `end`
    std::byte* end = nullptr;
    std::size_t blocks = 0;  // in all chunks
  };

  std::size_t spare_blocks(std::size_t index) const noexcept {
    const Pool& pool = pools_[index];
    return pool.free.size() + static_cast<std::size_t>(pool.end - pool.fresh) / classes_.size(index);
  }

  [[gnu::noinline]] void* carve(std::size_t index) noexcept {
    Pool& pool = pools_[index];
    if (pool.fresh == pool.end && !add_chunk(index)) return nullptr;
    std::byte* block = pool.fresh;
    pool.fresh += classes_.size(index);
    return block;
  }

  bool add_chunk(std::size_t index) noexcept {
    const std::size_t size = classes_.size(index);
    const auto chunk = class_chunks::take(runs_, chunk_, size, static_cast<std::uint32_t>(index));
    if (chunk.empty()) return false;
    Pool& pool = pools_[index];
    pool.fresh = chunk.data();
    pool.end = pool.fresh + chunk.size();
    pool.blocks += chunk.size() / size;
    return true;
  }

  std::vector<const std::byte*> listed_blocks() const {
    std::vector<const std::byte*> blocks;
    for (const Pool& pool : pools_)
      for (const FreeList::Link* link = pool.free.top(); link != nullptr; link = link->next)
        blocks.push_back(reinterpret_cast<const std::byte*>(link));
    std::ranges::sort(blocks);
    return blocks;
  }

  std::array<Pool, SizeClasses::kMost> pools_{};
  Region& region_;
  PageRuns runs_;
  LargeBlocks large_{runs_};
  ClassTable classes_;
  std::size_t chunk_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::SegregatedPool);
