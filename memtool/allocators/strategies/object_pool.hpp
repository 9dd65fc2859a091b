// An object pool: blocks of one size that stay constructed while they are free.
//
// By default an object is constructed when its block is first allocated. It can instead be constructed at every
// allocation, as in a program that destroys each object that it frees. The difference is the cost of construction.
// Writing some bytes stands for the work of the constructor. The link of a free block lies behind the object, because a
// free object must stay intact.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/equal_blocks.hpp"
#include "allocators/support/free_list.hpp"

namespace memtool {

class ObjectPool {
 public:
  static constexpr std::array<ParameterInfo, 4> kParameters{{
      {.name = "block", .summary = "bytes of an object", .default_value = 64, .minimum = 1, .maximum = 1 << 20},
      {.name = "state",
       .summary = "bytes that the constructor writes, at most the whole object",
       .default_value = 64,
       .minimum = 0,
       .maximum = 1 << 20},
      {.name = "construct",
       .summary = "when an object is constructed",
       .default_value = 0,
       .unit = "choice",
       .choices = "once|always"},
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "object-pool",
      .family = "pool",
      .summary = "Blocks of one size that stay constructed while they are free; one word of metadata for each.",
      .source = "Bonwick, \"The slab allocator: an object-caching kernel memory allocator\", USENIX Summer 1994, 2",
      .complexity = "allocate O(1), deallocate O(1); the constructor writes once for each block, or at each allocation",
      .when = "objects that cost more to construct than to allocate, such as locks, connections and prepared buffers",
      .parameters = kParameters,
  };

  ObjectPool(Region& region, const Parameters& parameters) noexcept
      : region_(region),
        object_(object_bytes(parameters)),
        stride_(stride(parameters)),
        chunk_(equal_blocks::chunk(parameters, stride_)),
        state_(std::min<std::size_t>(parameters["state"], parameters["block"])),
        always_(parameters["construct"] == 1) {}

  static Limits limits(const Parameters& parameters) {
    return {.largest_size = parameters["block"], .largest_alignment = equal_blocks::alignment(stride(parameters))};
  }

  void* allocate(std::size_t, std::size_t) noexcept {
    void* link = free_.pop();
    if (link == nullptr) [[unlikely]]
      return carve();
    std::byte* object = static_cast<std::byte*>(link) - object_;
    if (always_) construct(object);
    return object;
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept {
    free_.push(static_cast<std::byte*>(block) + object_);
  }

  void deallocate(void* block) noexcept { deallocate(block, 0, kDefaultAlignment); }

  std::size_t usable_size(const void*, std::size_t) const noexcept { return object_; }

  HeapStats stats() const noexcept {
    const std::size_t blocks = region_.used() / stride_;
    const std::size_t free_blocks = free_.size() + static_cast<std::size_t>(end_ - fresh_) / stride_;
    return {.granted = (blocks - free_blocks) * object_,
            .free_bytes = free_blocks * object_,
            .free_blocks = free_blocks,
            .used_blocks = blocks - free_blocks,
            .metadata_bytes = blocks * (stride_ - object_)};
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<bool> free = free_map();
    for (std::byte* block = region_.base(); block < end_; block += stride_) {
      const bool is_free = block >= fresh_ || free[index_of(block)];
      visit(block, object_, is_free ? BlockState::free : BlockState::used);
      visit(block + object_, stride_ - object_, BlockState::metadata);
    }
  }

  void check() const {
    const std::vector<bool> free = free_map();
    const auto listed = static_cast<std::size_t>(std::ranges::count(free, true));
    require(free_.size() == listed, "the free list counts more or fewer blocks than it holds");
    require(fresh_ <= end_ && end_ == region_.base() + region_.used(), "the pool does not end where its region does");
  }

 private:
  static std::size_t object_bytes(const Parameters& parameters) {
    return bits::round_up(parameters["block"], sizeof(FreeList::Link));
  }
  static std::size_t stride(const Parameters& parameters) {
    return bits::round_up(object_bytes(parameters) + sizeof(FreeList::Link), kDefaultAlignment);
  }

  void construct(std::byte* object) const noexcept { std::memset(object, kConstructed, state_); }

  [[gnu::noinline]] void* carve() noexcept {
    if (fresh_ == end_) {
      // Near the end of the region the remaining bytes may still hold a few blocks.
      const std::size_t left = (region_.capacity() - region_.used()) / stride_ * stride_;
      const std::size_t bytes = std::min(chunk_, left);
      if (bytes == 0 || region_.grow(bytes) == nullptr) return nullptr;
      end_ += bytes;
    }
    std::byte* object = fresh_;
    fresh_ += stride_;
    construct(object);
    return object;
  }

  std::size_t index_of(const void* block) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) - region_.base()) / stride_;
  }

  // Returns which of the blocks handed out so far are in the free list, and verifies the list on the way.
  std::vector<bool> free_map() const {
    std::vector<bool> free(index_of(fresh_));
    for (const FreeList::Link* link = free_.top(); link != nullptr; link = link->next) {
      const auto* block = reinterpret_cast<const std::byte*>(link) - object_;
      require(block >= region_.base() && block < fresh_, "the free list leaves the pool");
      const std::size_t index = index_of(block);
      require(region_.base() + index * stride_ == block, "the free list points into a block");
      require(!free[index], "a block is in the free list twice");
      free[index] = true;
    }
    return free;
  }

  static constexpr int kConstructed = 0x5a;

  FreeList free_;
  Region& region_;
  std::size_t object_;
  std::size_t stride_;  // distance between two objects, which includes the link
  std::size_t chunk_;
  std::size_t state_;
  bool always_;
  std::byte* fresh_ = region_.base();  // start of the blocks that were never allocated
  std::byte* end_ = region_.base();
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::ObjectPool);
