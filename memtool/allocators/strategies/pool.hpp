// A fixed-size pool: blocks of one size, with the free list linked through the free blocks.
//
// When the pool is empty it takes a chunk from the region and carves blocks from its front. Nothing is written to a
// block before its first use, so an untouched chunk costs no resident memory.
#pragma once

#include <algorithm>
#include <array>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/equal_blocks.hpp"
#include "allocators/support/free_list.hpp"

namespace memtool {

class Pool {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "block",
       .summary = "size of every block, in multiples of 8",
       .default_value = 64,
       .minimum = 1,
       .maximum = 1 << 20},
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "pool",
      .family = "pool",
      .summary = "Blocks of one size; an intrusive LIFO list holds the free ones.",
      .source = "Kenwright, \"Fast efficient fixed-size memory pool\", Computation Tools 2012",
      .complexity = "allocate O(1), deallocate O(1): one load and one store each",
      .when = "many objects of one size, such as nodes",
      .parameters = kParameters,
  };

  Pool(Region& region, const Parameters& parameters) noexcept
      : region_(region), block_(stride(parameters)), chunk_(equal_blocks::chunk(parameters, block_)) {}

  static Limits limits(const Parameters& parameters) { return equal_blocks::limits(parameters, stride(parameters)); }

  void* allocate(std::size_t, std::size_t) noexcept {
    void* block = free_.pop();
    return block != nullptr ? block : carve();
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept { free_.push(block); }
  void deallocate(void* block) noexcept { free_.push(block); }

  std::size_t usable_size(const void*, std::size_t) const noexcept { return block_; }

  HeapStats stats() const noexcept {
    const std::size_t free_blocks = free_.size() + static_cast<std::size_t>(end_ - fresh_) / block_;
    const std::size_t used_blocks = region_.used() / block_ - free_blocks;
    return {.granted = used_blocks * block_,
            .free_bytes = free_blocks * block_,
            .free_blocks = free_blocks,
            .used_blocks = used_blocks,
            .metadata_bytes = 0};
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<bool> free = free_map();
    for (std::byte* block = region_.base(); block < end_; block += block_) {
      const bool is_free = block >= fresh_ || free[index_of(block)];
      visit(block, block_, is_free ? BlockState::free : BlockState::used);
    }
  }

  void check() const {
    const std::vector<bool> free = free_map();
    const auto listed = static_cast<std::size_t>(std::ranges::count(free, true));
    require(free_.size() == listed, "the free list counts more or fewer blocks than it holds");
    require(fresh_ <= end_ && end_ == region_.base() + region_.used(), "the pool does not end where its region does");
  }

 private:
  // A link takes 8 bytes.
  static std::size_t stride(const Parameters& parameters) {
    return bits::round_up(parameters["block"], sizeof(FreeList::Link));
  }

  [[gnu::noinline]] void* carve() noexcept {
    if (fresh_ == end_) {
      // Near the end of the region the remaining bytes may still hold a few blocks.
      const std::size_t left = (region_.capacity() - region_.used()) / block_ * block_;
      const std::size_t bytes = std::min(chunk_, left);
      void* chunk = bytes == 0 ? nullptr : region_.grow(bytes);
      if (chunk == nullptr) return nullptr;
      end_ = fresh_ + bytes;
    }
    std::byte* block = fresh_;
    fresh_ += block_;
    return block;
  }

  std::size_t index_of(const void* block) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) - region_.base()) / block_;
  }

  // Returns which of the blocks handed out so far are in the free list, and verifies the list on the way.
  std::vector<bool> free_map() const {
    std::vector<bool> free(index_of(fresh_));
    for (const FreeList::Link* link = free_.top(); link != nullptr; link = link->next) {
      const auto* block = reinterpret_cast<const std::byte*>(link);
      require(block >= region_.base() && block < fresh_, "the free list leaves the pool");
      const std::size_t index = index_of(block);
      require(region_.base() + index * block_ == block, "the free list points into a block");
      require(!free[index], "a block is in the free list twice");
      free[index] = true;
    }
    return free;
  }

  FreeList free_;
  Region& region_;
  std::size_t block_;
  std::size_t chunk_;
  std::byte* fresh_ = region_.base();  // start of the blocks that were never allocated
  std::byte* end_ = region_.base();
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Pool);
