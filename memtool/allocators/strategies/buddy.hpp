// A binary buddy system. A block is 2^k units long, where a unit is the smallest block, and begins at a multiple of its
// size. A block splits into two buddies, and two free buddies coalesce into one block. The addresses of two buddies
// differ in one bit, so finding a buddy needs no search.
//
// Knowlton and Knuth keep a tag and the order in the block. Here both lie in a separate map (buddy_map.hpp) with two
// bits for each unit. The map lies in a block of the heap itself. When the heap outgrows it, a block twice as large
// replaces it. The heap grows from the front of the region, a chunk at a time, so it need not be as large as the
// region.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/buddy_lists.hpp"
#include "allocators/support/buddy_map.hpp"

namespace memtool {

class Buddy {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "minimum",
       .summary = "size of the smallest block, a power of two",
       .default_value = 16,
       .minimum = BuddyLists::kSmallestBlock,
       .maximum = 4096},
      {.name = "chunk",
       .summary = "bytes by which the heap grows, a power of two",
       .default_value = 64 * 1024,
       .minimum = 4096,
       .maximum = std::uint64_t{1} << 30},
  }};
  static constexpr StrategyInfo info{
      .name = "buddy",
      .family = "buddy",
      .summary = "Binary buddy system: power-of-two blocks that split and coalesce; a separate map instead of headers.",
      .source = "Knowlton: A fast storage allocator, CACM 8(10), 1965; Knuth: TAOCP 1, 2.5, algorithms R and S",
      .complexity =
          "allocate O(log n), deallocate O(log n), for n smallest blocks in the largest one; the map is copied each "
          "time the heap doubles",
      .when =
          "sizes near powers of two, large alignments and pages; time is bounded, but rounding wastes much of other "
          "sizes",
      .parameters = kParameters,
  };
  // A block is aligned to its size, relative to an address that is aligned to this.
  static constexpr std::size_t kLargestAlignment = std::size_t{2} << 20;
  static Limits limits(const Parameters&) { return {.largest_alignment = kLargestAlignment}; }

  Buddy(Region& region, const Parameters& parameters)
      : region_(region),
        log2_minimum_(log2_of(parameters, "minimum")),
        log2_chunk_(log2_of(parameters, "chunk") - log2_minimum_) {
    // Offsets count from the last suitably aligned address at or below the base. So blocks are aligned to their size
    // even if the base itself is aligned only to a page.
    const auto base = reinterpret_cast<std::uintptr_t>(region.base());
    origin_ = bits::round_down(base, std::min(kLargestAlignment, std::bit_ceil(region.capacity())));
    first_ = (base - origin_) >> log2_minimum_;
    end_ = first_;
    limit_ = first_ + (region.capacity() >> log2_minimum_);
    const std::size_t planned = std::min(kFirstChunks << log2_chunk_, limit_ - first_);
    const MapPlace place = place_map(std::bit_ceil(first_ + planned));
    if (place.end > limit_) return;
    take_map(place);
    map_.clear(first_);  // so that no unit before the region's base passes for a free buddy
    enter_map_block(place);
    most_size_ = region.capacity();
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (size >= most_size_ || alignment > kLargestAlignment) [[unlikely]]
      return nullptr;
    const unsigned order = order_for(size, alignment);
    if (lists_.orders_from(order) == 0) [[unlikely]] {
      if (!grow(order)) return nullptr;
    }
    const unsigned free_order = order + static_cast<unsigned>(std::countr_zero(lists_.orders_from(order)));
    void* block = lists_.pop(free_order);
    const std::size_t unit = unit_of(block);
    if (free_order != order) split(unit, free_order, order);
    map_.set(unit, State::used);
    ++used_blocks_;
    granted_units_ += std::size_t{1} << order;
    return block;
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    const unsigned order = order_for(size, alignment);
    --used_blocks_;
    granted_units_ -= std::size_t{1} << order;
    release(unit_of(block), order);
  }

  // The map knows the order of each block.
  void deallocate(void* block) noexcept { deallocate(block, usable_size(block, 0), kDefaultAlignment); }

  // Stays in place if the block shrinks, or if its upper buddies are free up to the new order.
  [[gnu::noinline]] void* reallocate(void* block, std::size_t old_size, std::size_t new_size,
                                     std::size_t alignment) noexcept {
    if (new_size >= most_size_) return nullptr;
    const unsigned old_order = order_for(old_size, alignment);
    const unsigned new_order = order_for(new_size, alignment);
    const std::size_t unit = unit_of(block);
    if (new_order <= old_order) {
      if (new_order != old_order) split(unit, old_order, new_order);
    } else if (!annex(unit, old_order, new_order)) {
      void* fresh = allocate(new_size, alignment);
      if (fresh == nullptr) return nullptr;
      std::memcpy(fresh, block, std::min(old_size, new_size));
      deallocate(block, old_size, alignment);
      return fresh;
    }
    granted_units_ += (std::size_t{1} << new_order) - (std::size_t{1} << old_order);
    return block;
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    return bytes_of(map_.order_of(unit_of(block), end_));
  }

  HeapStats stats() const noexcept {
    const std::size_t map_bytes = map_.words() == nullptr ? 0 : bytes_of(map_order_);
    const std::size_t granted = granted_units_ << log2_minimum_;
    return {.granted = granted,
            .free_bytes = region_.used() - granted - map_bytes,
            .largest_free = lists_.empty() ? 0 : bytes_of(lists_.highest_order()),
            .free_blocks = lists_.blocks(),
            .used_blocks = used_blocks_,
            .metadata_bytes = map_bytes};
  }

  void walk(const BlockVisitor& visit) const {
    for (std::size_t unit = first_; unit != end_;) {
      const unsigned order = map_.order_of(unit, end_);
      const bool is_free = map_.state(unit) == State::free;
      visit(address_of(unit), bytes_of(order),
            unit == map_unit_ ? BlockState::metadata
            : is_free         ? BlockState::free
                              : BlockState::used);
      unit += std::size_t{1} << order;
    }
  }

  void check() const {
    require(region_.used() == (end_ - first_) << log2_minimum_, "the heap does not end where its region does");
    if (map_.words() == nullptr) return;
    const BlocksByOrder free_blocks = check_blocks();
    for (unsigned order = 0; order < BuddyLists::kOrders; ++order) {
      std::vector<const void*> listed = lists_.check(order);
      std::ranges::sort(listed);
      require(listed == free_blocks[order], "the free list of an order does not hold exactly its free blocks");
    }
  }

 private:
  using State = BuddyMap::State;
  using BlocksByOrder = std::array<std::vector<const void*>, BuddyLists::kOrders>;

  struct MapPlace {
    std::size_t covers;  // in units
    std::size_t unit;    // where the block of the map begins
    unsigned order;
    std::size_t end;
  };

  static constexpr std::size_t kFirstChunks = 4;  // number of chunks that the first map covers

  static unsigned log2_of(const Parameters& parameters, const char* name) {
    const std::uint64_t value = parameters[name];
    if (!std::has_single_bit(value))
      throw std::invalid_argument(std::string(name) + ": must be a power of two, is " + std::to_string(value));
    return bits::log2_floor(value);
  }

  [[nodiscard]] unsigned order_for(std::size_t size, std::size_t alignment) const noexcept {
    const std::size_t smallest = std::size_t{1} << log2_minimum_;
    return bits::log2_floor((std::max(size, alignment) - 1) | (smallest - 1)) + 1 - log2_minimum_;
  }
  [[nodiscard]] std::size_t bytes_of(unsigned order) const noexcept {
    return std::size_t{1} << (order + log2_minimum_);
  }
  [[nodiscard]] std::size_t unit_of(const void* block) const noexcept {
    return (reinterpret_cast<std::uintptr_t>(block) - origin_) >> log2_minimum_;
  }
  [[nodiscard]] void* address_of(std::size_t unit) const noexcept {
    return reinterpret_cast<void*>(origin_ + (unit << log2_minimum_));
  }

  // Cuts a block of order `from` down to `to` and frees the upper halves. None of them can have a free buddy.
  [[gnu::always_inline]] void split(std::size_t unit, unsigned from, unsigned to) noexcept {
    while (from > to) {
      --from;
      const std::size_t upper = unit + (std::size_t{1} << from);
      map_.enter(upper, from, State::free);
      lists_.insert(address_of(upper), from);
    }
    map_.unsplit(unit, to);
  }

  [[nodiscard]] bool is_free_buddy(std::size_t unit, unsigned order) const noexcept {
    return unit + (std::size_t{1} << order) <= end_ && map_.is_free(unit, order);
  }

  // Frees a block that the map marks as used, and coalesces it with its buddies for as long as they are free.
  [[gnu::always_inline]] void release(std::size_t unit, unsigned order) noexcept {
    for (;; ++order) {
      const std::size_t bit = std::size_t{1} << order;
      const std::size_t buddy = unit ^ bit;
      if (!is_free_buddy(buddy, order)) break;
      lists_.remove(address_of(buddy), order);
      map_.set(unit | bit, State::inside);
      unit &= ~bit;
    }
    map_.set(unit, State::free);
    lists_.insert(address_of(unit), order);
  }

  // Adds the free upper buddies, up to order `to`, to a used block. Returns false, and changes nothing, if one of them
  // is not free.
  bool annex(std::size_t unit, unsigned from, unsigned to) noexcept {
    for (unsigned order = from; order < to; ++order) {
      const std::size_t bit = std::size_t{1} << order;
      if ((unit & bit) != 0 || !is_free_buddy(unit | bit, order)) return false;
    }
    for (unsigned order = from; order < to; ++order) {
      const std::size_t buddy = unit | std::size_t{1} << order;
      lists_.remove(address_of(buddy), order);
      map_.set(buddy, State::inside);
    }
    return true;
  }

  // Grows the heap until there is a free block of `order`. Returns false, and takes nothing, if the region has no room
  // for one.
  [[gnu::noinline]] bool grow(unsigned order) noexcept {
    std::size_t need = end_with(order);
    if (need > limit_) return false;
    if (need > covered_) {
      if (!widen_map(order)) return false;
      if (lists_.orders_from(order) != 0) return true;
      need = end_with(order);
    }
    const std::size_t rounded = bits::round_up(need, std::size_t{1} << log2_chunk_);
    // The map reaches the end of the region or a multiple of the chunk.
    const std::size_t target = rounded <= limit_ ? rounded : need;
    if (region_.grow((target - end_) << log2_minimum_) == nullptr) return false;
    extend(target);
    return true;
  }

  // Returns where the heap would end if it grew just enough for a block of `order`. If all memory from the last
  // multiple of the block's length to the heap's end is free, it becomes the front of that block.
  [[nodiscard]] std::size_t end_with(unsigned order) const noexcept {
    const std::size_t length = std::size_t{1} << order;
    const std::size_t begin = bits::round_down(end_, length);
    if (begin == end_ || (begin >= first_ && all_free(begin))) return begin + length;
    return begin + 2 * length;
  }
  [[nodiscard]] bool all_free(std::size_t begin) const noexcept {
    while (begin != end_) {
      const unsigned order = bits::log2_floor(end_ - begin);
      if (!map_.is_free(begin, order)) return false;
      begin += std::size_t{1} << order;
    }
    return true;
  }

  // Frees the memory from the heap's end up to `target`, which the map covers, in the largest blocks that their
  // addresses allow.
  void extend(std::size_t target) noexcept {
    while (end_ != target) {
      const std::size_t unit = end_;
      unsigned order = bits::log2_floor(target - unit);
      if (unit != 0) order = std::min(order, static_cast<unsigned>(std::countr_zero(unit)));
      end_ += std::size_t{1} << order;
      map_.enter(unit, order, State::used);
      release(unit, order);
    }
  }

  // Returns where the block for a map of `covers` units, a power of two, would lie.
  [[nodiscard]] MapPlace place_map(std::size_t covers) const noexcept {
    covers = std::max(covers, BuddyMap::kUnitsPerWord);
    const unsigned order = order_for(BuddyMap::bytes_for(covers), 1);
    const std::size_t unit = bits::round_up(end_, std::size_t{1} << order);
    return {covers, unit, order, unit + (std::size_t{1} << order)};
  }
  void take_map(const MapPlace& place) noexcept {
    (void)region_.grow((place.end - end_) << log2_minimum_);
    map_ = BuddyMap(static_cast<std::uint64_t*>(address_of(place.unit)));
    covered_ = place.covers;
  }
  void enter_map_block(const MapPlace& place) noexcept {
    extend(place.unit);
    end_ = place.end;
    map_.enter(place.unit, place.order, State::used);
    map_unit_ = place.unit;
    map_order_ = place.order;
  }

  // Moves the map into a larger one, which also covers a block of `order` behind the new map.
  bool widen_map(unsigned order) noexcept {
    const std::size_t length = std::size_t{1} << order;
    MapPlace place{};
    std::size_t need = 0;
    for (std::size_t covers = covered_ * 2; need == 0 || need > place.covers; covers *= 2) {
      place = place_map(covers);
      need = bits::round_up(place.end, length) + length;
    }
    if (need > limit_) return false;
    const BuddyMap old = map_;
    const std::size_t old_unit = map_unit_;
    const unsigned old_order = map_order_;
    take_map(place);
    map_.copy(old, end_);
    enter_map_block(place);
    release(old_unit, old_order);
    return true;
  }

  // Verifies the map block by block. Returns the addresses of the free blocks for each order.
  [[nodiscard]] BlocksByOrder check_blocks() const {
    BlocksByOrder free_blocks;
    std::size_t used_blocks = 0;
    std::size_t used_units = 0;
    bool map_seen = false;
    for (std::size_t unit = first_; unit != end_;) {
      const State state = map_.state(unit);
      const unsigned order = map_.order_of(unit, end_);
      const std::size_t length = std::size_t{1} << order;
      require(state == State::used || state == State::free, "no block begins where the one before it ends");
      if (state == State::free) {
        require((unit ^ length) < first_ || !is_free_buddy(unit ^ length, order), "two free buddies were not merged");
        free_blocks[order].push_back(address_of(unit));
      } else if (unit == map_unit_) {
        require(order == map_order_, "the block of the map has another order than it was given");
        map_seen = true;
      } else {
        ++used_blocks;
        used_units += length;
      }
      unit += length;
    }
    require(map_seen, "the map's own block is not among the used ones");
    require(used_blocks == used_blocks_, "the used blocks are not as many as were counted");
    require(used_units == granted_units_, "the used blocks are not as large as was counted");
    return free_blocks;
  }

  // Lengths and positions count units unless a comment says bytes.
  Region& region_;
  unsigned log2_minimum_;  // size of a unit
  unsigned log2_chunk_;
  std::size_t most_size_ = 0;  // requests must be smaller than this many bytes; 0: the region has no room for the map
  std::uintptr_t origin_ = 0;  // address of unit 0
  BuddyMap map_;
  BuddyLists lists_;
  std::size_t used_blocks_ = 0;
  std::size_t granted_units_ = 0;
  std::size_t first_ = 0;     // where the region begins
  std::size_t end_ = 0;       // where the heap ends
  std::size_t limit_ = 0;     // where the region ends
  std::size_t covered_ = 0;   // end of the part that the map covers
  std::size_t map_unit_ = 0;  // block in which the map lies
  unsigned map_order_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Buddy);
