// The invariants of a heap that searches a list of free blocks (listed_heap.hpp).
#pragma once

#include <cstddef>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/lists/list_policy.hpp"

namespace memtool {

template <class Heap>
struct ListedHeapCheck {
  using Ref = typename Heap::Ref;
  const Heap& heap;

  void check() const {
    check_blocks();
    if (heap.policy_.linked) check_list();
  }

  void check_blocks() const {
    std::size_t at_offset = heap.layout_.lead();
    std::size_t used_bytes = 0;
    std::size_t used = 0;
    std::size_t free = 0;
    bool previous_free = false;
    for (Ref at = heap.blocks_.first(); at != Heap::kNone; at = heap.blocks_.next_physical(at)) {
      const std::size_t bytes = heap.blocks_.bytes(at);
      require(heap.blocks_.offset(at) == at_offset, "a block does not begin where the one before it ends");
      require(bytes >= heap.layout_.minimum, "a block is smaller than the smallest block");
      require(bytes % heap.layout_.alignment == 0, "a block's size is not a multiple of the alignment");
      require(bytes <= heap.region_.used() - at_offset, "a block reaches beyond the end of the heap");
      heap.blocks_.check(at);
      const bool is_free = heap.blocks_.is_free(at);
      require(!(is_free && previous_free && heap.policy_.coalescing == Coalescing::immediate),
              "two free blocks touch: they were not merged");
      previous_free = is_free;
      used_bytes += is_free ? 0 : bytes;
      ++(is_free ? free : used);
      at_offset += bytes;
    }
    require(at_offset == heap.region_.used(), "the blocks do not end where the heap does");
    require(used == heap.used_blocks_ && used_bytes == heap.used_bytes_, "the used blocks are not what was counted");
    require(free == heap.free_blocks_, "the free blocks are not as many as were counted");
  }

  void check_list() const {
    std::size_t listed = 0;
    Ref previous = Heap::kNone;
    bool rover_listed = heap.rover_ == Heap::kNone;
    for (Ref at = heap.head_; at != Heap::kNone; previous = at, at = heap.blocks_.next(at)) {
      require(++listed <= heap.free_blocks_, "the free list holds more blocks than are free, or runs in a circle");
      require(heap.blocks_.is_free(at), "a block in the free list is not free");
      require(heap.blocks_.previous(at) == previous,
              "a block in the free list does not point back to the one before it");
      const bool sorted = heap.policy_.by_address() || (heap.policy_.by_size() && !heap.disordered_);
      require(!sorted || previous == Heap::kNone || !heap.before(at, previous), "the free list is out of order");
      rover_listed |= at == heap.rover_;
    }
    require(previous == heap.tail_, "the free list does not end with its last block");
    require(listed == heap.free_blocks_, "the free list does not hold all free blocks");
    require(rover_listed, "the next search would begin at a block that is not free");
  }
};

}  // namespace memtool
