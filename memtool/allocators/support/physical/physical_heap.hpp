// A heap of blocks with boundary tags (physical_block.hpp) over an index of the free blocks: segregated lists
// (segregated_lists.hpp), an index by address (address_index.hpp) or an index by size (size_index.hpp).
//
// It does what TLSF, half-fit, segregated fit and the classic policies have in common: it splits off remainders of at
// least 32 bytes, extends the region at its end if no free block fits, and coalesces free neighbours at once. Immediate
// coalescing is not a parameter here. With boundary tags it takes constant time; only free blocks need a tag at their
// end, because no two of them touch; and without it every index would hold more blocks. The strategy `free-list` can
// defer coalescing, for comparison.
//
// `Fit` provides what differs:
//   static PhysicalBlock* take(Lists& lists, std::size_t& bytes)
//     unlinks a block of at least `bytes`, or returns nullptr if it finds none. It may take `bytes` by
//     reference and round it up to the size to which the block will be cut.
//   static std::size_t largest(const Lists& lists)
//     the largest `bytes` for which take() would find a block; 0: none
//
// The heap begins with the table of the index, if that lies in the region, and ends with a tag of its own, so that
// every block has neighbours. A strategy derives from this class and adds its description.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/physical/physical_block.hpp"
#include "allocators/support/physical/segregated_lists.hpp"

namespace memtool {

template <class Fit, class Lists = SegregatedLists>
class PhysicalHeap {
 public:
  // `growth_step`: smallest number of bytes by which the region grows, while that many are left; 0: it never grows.
  // `initial`: size of the heap at the start with its table, at most that of the region. It becomes one free block,
  // which only the index can find. If `initial` is 0, the heap starts empty, and the free block at its end serves
  // requests for which the index skipped it. Throws std::invalid_argument, with one line, if both are 0.
  PhysicalHeap(Region& region, unsigned log2_subdivisions, std::size_t growth_step, std::size_t initial = 0)
      : region_(region), lists_(log2_subdivisions, region.capacity()), is_pool_(initial != 0) {
    if (growth_step == 0 && initial == 0) throw std::invalid_argument("grow: must not be 0 if the heap starts empty");
    region.count_apart(&lists_, [](const void* lists, std::size_t used) noexcept {
      return static_cast<const Lists*>(lists)->apart_bytes(used);
    });
    std::byte* base = region.base();
    const auto first = static_cast<std::size_t>(
        bits::align_up(base + lists_.table_bytes() + PhysicalBlock::kHeader, PhysicalBlock::kGranule) -
        PhysicalBlock::kHeader - base);
    if (region.grow(first + PhysicalBlock::kHeader) == nullptr) return;
    lists_.place(base);
    first_ = PhysicalBlock::at(base + first);
    first_->set_end();
    end_ = first_;
    limit_ = region.capacity() - first - PhysicalBlock::kHeader;
    const std::size_t tables = std::min(lists_.apart_bytes(region.capacity()), region.capacity());
    const std::size_t begins_with = std::min(initial, region.capacity() - tables);
    if (begins_with >= region.used() + PhysicalBlock::kMinimum)
      (void)extend(bits::round_down(begins_with - region.used(), PhysicalBlock::kGranule));
    growth_step_ = bits::round_up(growth_step, PhysicalBlock::kGranule);
    grows_ = growth_step != 0;
  }

  [[gnu::always_inline]] void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (size >= limit_) [[unlikely]]
      return nullptr;
    if (alignment > PhysicalBlock::kGranule) [[unlikely]]
      return allocate_aligned(size, alignment);
    const std::size_t least = PhysicalBlock::bytes_for(size);
    std::size_t need = least;
    PhysicalBlock* block = Fit::take(lists_, need);
    if (block == nullptr) [[unlikely]] {
      block = take_last(least, need);
      if (block == nullptr) return nullptr;
    }
    return keep(block, need);
  }

  [[gnu::always_inline]] void deallocate(void* payload, std::size_t, std::size_t) noexcept {
    PhysicalBlock* block = PhysicalBlock::of(payload);
    const std::size_t bytes = block->bytes();
    --used_blocks_;
    used_bytes_ -= bytes;
    release(block, bytes);
  }

  [[gnu::always_inline]] void deallocate(void* payload) noexcept { deallocate(payload, 0, kDefaultAlignment); }

  // Stays in place if the block shrinks, if the next block is free and large enough, or at the heap's end.
  [[gnu::noinline]] void* reallocate(void* payload, std::size_t old_size, std::size_t new_size,
                                     std::size_t alignment) noexcept {
    if (new_size >= limit_) return nullptr;
    PhysicalBlock* block = PhysicalBlock::of(payload);
    const std::size_t need = PhysicalBlock::bytes_for(new_size);
    if (block->bytes() < need && !annex(block, need)) return move(payload, old_size, new_size, alignment);
    const std::size_t rest = block->bytes() - need;
    if (rest >= PhysicalBlock::kMinimum) {
      block->set_used(need);
      PhysicalBlock* remainder = block->after(need);
      remainder->initialise_used(rest);
      used_bytes_ -= rest;
      release(remainder, rest);
    }
    return payload;
  }

  [[nodiscard]] std::size_t usable_size(const void* payload, std::size_t) const noexcept {
    return PhysicalBlock::of(payload)->bytes() - PhysicalBlock::kHeader;
  }

  [[nodiscard]] HeapStats stats() const noexcept {
    if (first_ == nullptr) return {0, 0, 0, 0, 0, 0};
    const auto blocks_bytes = static_cast<std::size_t>(end_->start() - first_->start());
    const std::size_t free_blocks = lists_.free_blocks();
    const std::size_t free_tags = free_blocks * PhysicalBlock::kHeader;
    const std::size_t used_tags = used_blocks_ * PhysicalBlock::kHeader;
    const std::size_t largest = std::max(Fit::largest(lists_), is_pool_ ? 0 : last_free_bytes());
    return {.granted = used_bytes_ - used_tags,
            .free_bytes = blocks_bytes - used_bytes_ - free_tags,
            .largest_free = largest == 0 ? 0 : largest - PhysicalBlock::kHeader,
            .free_blocks = free_blocks,
            .used_blocks = used_blocks_,
            .metadata_bytes = region_.used() - blocks_bytes + free_tags + used_tags + lists_.apart_bytes(),
            .metadata_apart_bytes = lists_.apart_bytes()};
  }

  void walk(const BlockVisitor& visit) const {
    if (first_ == nullptr) return;
    visit(region_.base(), static_cast<std::size_t>(first_->start() - region_.base()), BlockState::metadata);
    for (PhysicalBlock* block = first_; block != end_; block = block->next_physical()) {
      visit(block->start(), PhysicalBlock::kHeader, BlockState::metadata);
      visit(block->payload(), block->bytes() - PhysicalBlock::kHeader,
            block->is_free() ? BlockState::free : BlockState::used);
    }
    visit(end_->start(), PhysicalBlock::kHeader, BlockState::metadata);
  }

  void check() const {
    if (first_ == nullptr) return;
    require(end_->payload() == region_.base() + region_.used(), "the heap does not end where its region does");
    require(end_->bytes() == 0 && !end_->is_free(), "the tag at the end of the heap was overwritten");
    const std::vector<PhysicalBlock*> free_blocks = check_blocks();
    lists_.check();
    std::vector<PhysicalBlock*> listed;
    lists_.for_each([&](PhysicalBlock* block) { listed.push_back(block); });
    std::ranges::sort(listed);
    require(listed == free_blocks, "the free lists do not hold exactly the free blocks of the heap");
  }

 private:
  // Makes `block`, which is on no list, a used block of `need` bytes, and frees the remainder if it is large enough for
  // a block.
  [[gnu::always_inline]] void* keep(PhysicalBlock* block, std::size_t need) noexcept {
    std::size_t bytes = block->bytes();
    if (bytes >= need + PhysicalBlock::kMinimum) {
      const std::size_t rest = bytes - need;
      bytes = need;
      block->set_used(need);
      PhysicalBlock* remainder = block->after(need);
      remainder->set_free(rest);  // the next block's flag is right already, because all of this was free
      lists_.insert(remainder, rest);
    } else {
      block->set_used(bytes);
      block->after(bytes)->set_previous_used();
    }
    ++used_blocks_;
    used_bytes_ += bytes;
    return block->payload();
  }

  // Frees a block that is on no list, and coalesces it with its free neighbours.
  [[gnu::always_inline]] void release(PhysicalBlock* block, std::size_t bytes) noexcept {
    PhysicalBlock* next = block->after(bytes);
    if (next->is_free()) {
      const std::size_t more = next->bytes();
      lists_.remove(next, more);
      bytes += more;
    } else {
      next->set_previous_free();
    }
    if (block->previous_is_free()) {
      const std::size_t more = block->previous_bytes();
      block = PhysicalBlock::at(block->start() - more);
      lists_.remove(block, more);
      bytes += more;
    }
    block->set_free(bytes);
    lists_.insert(block, bytes);
  }

  // Extends the region by `bytes`, or by the growth step if that many are left, and moves the heap's end there. Returns
  // the number of bytes gained; 0: none. The caller must turn the memory before the end into a block.
  std::size_t move_end(std::size_t bytes) noexcept {
    if (!grows_) return 0;
    for (const std::size_t taken : {std::max(bytes, growth_step_), bytes}) {
      if (region_.used() + taken > Lists::kMostHeapBytes || region_.grow(taken) == nullptr) continue;
      end_ = end_->after(taken);
      end_->set_end();
      return taken;
    }
    return 0;
  }

  // Does the same and frees the new memory.
  bool extend(std::size_t bytes) noexcept {
    PhysicalBlock* fresh = end_;  // the tag that ended the heap becomes that of the new block
    const std::size_t taken = move_end(bytes);
    if (taken == 0) return false;
    release(fresh, taken);
    return true;
  }

  [[nodiscard]] std::size_t last_free_bytes() const noexcept {
    return end_->previous_is_free() ? end_->previous_bytes() : 0;
  }

  // Takes the heap's last block, extended to at least `need` bytes or, if the region has no room for that, to `least`.
  // The lists may have skipped this block although it is large enough, because they round a request up. Then the region
  // need not grow.
  [[gnu::noinline]] PhysicalBlock* take_last(std::size_t least, std::size_t need) noexcept {
    const std::size_t have = last_free_bytes();
    if (is_pool_) {
      if (!extend(have < need ? need - have : growth_step_)) return nullptr;
    } else if (have < least && !extend(need - have) && !extend(least - have)) {
      return nullptr;
    }
    PhysicalBlock* last = end_->previous_physical();
    lists_.remove(last, last->bytes());
    return last;
  }

  // Bytes to leave free in front of a block at `block`, so that its payload is aligned: none, or enough for a block.
  [[nodiscard]] static std::size_t lead_of(PhysicalBlock* block, std::size_t alignment) noexcept {
    std::byte* payload = block->payload();
    if (bits::is_aligned(payload, alignment)) return 0;
    return static_cast<std::size_t>(bits::align_up(payload + PhysicalBlock::kMinimum, alignment) - payload);
  }

  [[gnu::noinline]] void* allocate_aligned(std::size_t size, std::size_t alignment) noexcept {
    if (alignment >= limit_) return nullptr;
    const std::size_t need = PhysicalBlock::bytes_for(size);
    std::size_t anywhere = need + PhysicalBlock::kMinimum + alignment - PhysicalBlock::kGranule;
    PhysicalBlock* block = anywhere < limit_ ? Fit::take(lists_, anywhere) : nullptr;
    if (block == nullptr) {
      PhysicalBlock* last = end_->previous_is_free() ? end_->previous_physical() : end_;
      const std::size_t least = lead_of(last, alignment) + need;
      block = take_last(least, least);
      if (block == nullptr) return nullptr;
    }
    if (const std::size_t lead = lead_of(block, alignment); lead != 0) {
      const std::size_t bytes = block->bytes();
      PhysicalBlock* aligned = block->after(lead);
      aligned->initialise_used(bytes - lead);
      aligned->set_previous_free();
      block->set_free(lead);
      lists_.insert(block, lead);
      block = aligned;
    }
    return keep(block, need);
  }

  // Extends a used block to at least `need` bytes with free memory behind it. Returns false if that is not possible;
  // the block is then unchanged.
  bool annex(PhysicalBlock* block, std::size_t need) noexcept {
    const std::size_t bytes = block->bytes();
    PhysicalBlock* next = block->after(bytes);
    const std::size_t behind = next->is_free() ? next->bytes() : 0;
    if (bytes + behind < need) {
      if (next->after(behind) != end_) return false;
      const std::size_t missing = need - bytes - behind;
      // The last block takes the growth directly, because the growth may be too small for a free block.
      if (behind == 0) return grow_last(block, missing);
      if (!extend(missing)) return false;
    }
    const std::size_t more = next->bytes();
    lists_.remove(next, more);
    block->set_used(bytes + more);
    used_bytes_ += more;
    block->after(bytes + more)->set_previous_used();
    return true;
  }

  bool grow_last(PhysicalBlock* block, std::size_t missing) noexcept {
    const std::size_t taken = move_end(missing);
    if (taken == 0) return false;
    block->set_used(block->bytes() + taken);
    used_bytes_ += taken;
    return true;
  }

  void* move(void* payload, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    void* fresh = allocate(new_size, alignment);
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, payload, std::min(old_size, new_size));
    deallocate(payload, old_size, alignment);
    return fresh;
  }

  // Verifies the tags of every block and returns the free blocks, in address order.
  [[nodiscard]] std::vector<PhysicalBlock*> check_blocks() const {
    std::vector<PhysicalBlock*> free_blocks;
    std::size_t used_blocks = 0;
    std::size_t used_bytes = 0;
    std::size_t previous_bytes = 0;
    bool previous_free = false;
    PhysicalBlock* block = first_;
    for (; block < end_; block = block->next_physical()) {
      require(block->bytes() >= PhysicalBlock::kMinimum, "a block is smaller than the smallest block");
      require(block->bytes() <= static_cast<std::size_t>(end_->start() - block->start()),
              "a block reaches beyond the end of the heap");
      check_previous(block, previous_free, previous_bytes);
      require(!(previous_free && block->is_free()), "two free blocks touch: they were not merged");
      previous_free = block->is_free();
      previous_bytes = block->bytes();
      if (previous_free) {
        free_blocks.push_back(block);
      } else {
        ++used_blocks;
        used_bytes += previous_bytes;
      }
    }
    require(block == end_, "the blocks do not end where the heap does");
    check_previous(end_, previous_free, previous_bytes);
    require(used_blocks == used_blocks_, "the used blocks are not as many as were counted");
    require(used_bytes == used_bytes_, "the used blocks are not as large as was counted");
    return free_blocks;
  }

  static void check_previous(PhysicalBlock* block, bool previous_free, std::size_t previous_bytes) {
    require(block->previous_is_free() == previous_free, "a block is wrong about whether the one before it is free");
    require(!previous_free || block->previous_bytes() == previous_bytes,
            "the size at the end of a free block is not that in its tag");
  }

  Region& region_;
  Lists lists_;
  std::size_t limit_ = 0;  // requests must be smaller than this; 0: the region has no room for the heap's table
  std::size_t used_blocks_ = 0;
  std::size_t used_bytes_ = 0;  // with tags
  PhysicalBlock* first_ = nullptr;
  PhysicalBlock* end_ = nullptr;  // the tag that ends the heap
  std::size_t growth_step_ = 0;
  bool is_pool_;       // it started with an initial block
  bool grows_ = true;  // true during construction; then false if the growth step is 0
};

}  // namespace memtool
