// A fixed-size pool: blocks of one size, the free ones linked through themselves.
//
// A chunk is taken from the region when the pool runs dry and handed out from its front; nothing is written to a block
// before it is first used, so an untouched chunk costs no resident memory.
#pragma once

#include <algorithm>
#include <array>
#include <new>
#include <vector>

#include "allocators/support/bits.hpp"
#include "engine/registry.hpp"

namespace memtool {

class Pool {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "block", .summary = "size of every block", .default_value = 64, .minimum = 1, .maximum = 1 << 20},
      {.name = "chunk",
       .summary = "taken from the region at a time",
       .default_value = 64 * 1024,
       .minimum = 4096,
       .maximum = 1 << 30},
  }};
  static constexpr StrategyInfo info{
      .name = "pool",
      .family = "pool",
      .summary = "Blocks of one size; free ones in an intrusive LIFO list.",
      .source = "Kenwright, \"Fast efficient fixed-size memory pool\", Computation Tools 2012",
      .complexity = "allocate O(1), deallocate O(1): one load and one store each",
      .when = "many objects of one size, such as nodes",
      .parameters = kParameters,
  };

  Pool(Region& region, const Parameters& parameters) noexcept
      : region_(region), block_(stride(parameters)), chunk_(chunk_bytes(parameters)) {}

  static Limits limits(const Parameters& parameters) {
    const std::size_t block = stride(parameters);
    return {.largest_size = parameters["block"], .largest_alignment = std::min<std::size_t>(block & -block, 4096)};
  }

  void* allocate(std::size_t, std::size_t) noexcept {
    if (free_ != nullptr) [[likely]] {
      Link* block = free_;
      free_ = block->next;
      ++used_blocks_;
      return block;
    }
    return carve();
  }

  void deallocate(void* block, std::size_t, std::size_t) noexcept {
    free_ = new (block) Link{free_};
    --used_blocks_;
  }

  std::size_t usable_size(const void*, std::size_t) const noexcept { return block_; }

  HeapStats stats() const noexcept {
    const std::size_t blocks = region_.used() / block_;
    const std::size_t free_blocks = blocks - used_blocks_;
    return {.granted = used_blocks_ * block_,
            .free_bytes = free_blocks * block_,
            .free_blocks = free_blocks,
            .used_blocks = used_blocks_,
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
    require(listed + used_blocks_ == index_of(fresh_), "used and free blocks do not add up to those handed out");
  }

 private:
  struct Link {
    Link* next;
  };

  // Blocks below 16 bytes need only be aligned to what fits into them; a link takes 8.
  static std::size_t stride(const Parameters& parameters) {
    const std::size_t block = std::max<std::size_t>(parameters["block"], sizeof(Link));
    return bits::round_up(block, block < kDefaultAlignment ? sizeof(Link) : kDefaultAlignment);
  }
  static std::size_t chunk_bytes(const Parameters& parameters) {
    const std::size_t block = stride(parameters);
    return std::max(parameters["chunk"] / block, std::uint64_t{1}) * block;
  }

  [[gnu::noinline]] void* carve() noexcept {
    if (fresh_ == end_) {
      // Near the end of the region what is left may still hold some blocks.
      const std::size_t left = (region_.capacity() - region_.used()) / block_ * block_;
      const std::size_t bytes = std::min(chunk_, left);
      void* chunk = bytes == 0 ? nullptr : region_.grow(bytes);
      if (chunk == nullptr) return nullptr;
      end_ = fresh_ + bytes;
    }
    std::byte* block = fresh_;
    fresh_ += block_;
    ++used_blocks_;
    return block;
  }

  std::size_t index_of(const void* block) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) - region_.base()) / block_;
  }

  // Which of the blocks handed out so far are in the free list; verifies the list on its way.
  std::vector<bool> free_map() const {
    std::vector<bool> free(index_of(fresh_));
    for (const Link* link = free_; link != nullptr; link = link->next) {
      require(region_.contains(link, block_) && reinterpret_cast<const std::byte*>(link) < fresh_,
              "the free list leaves the pool");
      const std::size_t index = index_of(link);
      require(region_.base() + index * block_ == reinterpret_cast<const std::byte*>(link),
              "the free list points into a block");
      require(!free[index], "a block is in the free list twice");
      free[index] = true;
    }
    return free;
  }

  Region& region_;
  std::size_t block_;
  std::size_t chunk_;
  Link* free_ = nullptr;
  std::size_t used_blocks_ = 0;
  std::byte* fresh_ = region_.base();  // never handed out from here on
  std::byte* end_ = region_.base();
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Pool);
