// A free list, last in, first out, linked through the free blocks themselves.
//
// Pushing a block is one store into the block, and popping one is one load from it. A count updated at every operation
// would cost a third as much again. Instead the blocks are counted on request, from the top down to the floor: the
// block that was on top at the last count, below which the number is known. Popping lowers the floor before the list
// shrinks past it. So a count costs no more than the changes since the last one.
#pragma once

#include <cstddef>
#include <new>

namespace memtool {

class FreeList {
 public:
  // The contents of a free block.
  struct Link {
    Link* next;
  };

  // `block` must be aligned for a Link and large enough for one.
  [[gnu::always_inline]] void push(void* block) noexcept { top_ = new (block) Link{top_}; }

  // Removes and returns the block that was pushed last; nullptr if the list is empty.
  [[nodiscard]] [[gnu::always_inline]] void* pop() noexcept {
    Link* block = top_;
    if (block == floor_) [[unlikely]]
      return pop_floor();
    if (block == nullptr) __builtin_unreachable();  // the end of the list is never above the floor
    top_ = block->next;
    return block;
  }

  [[nodiscard]] bool empty() const noexcept { return top_ == nullptr; }
  [[nodiscard]] const Link* top() const noexcept { return top_; }

  [[nodiscard]] std::size_t size() const noexcept {
    for (const Link* link = top_; link != floor_; link = link->next) ++below_;
    floor_ = top_;
    return below_;
  }

 private:
  static constexpr int kStep = 64;

  [[gnu::noinline]] void* pop_floor() noexcept {
    if (top_ == nullptr) return nullptr;
    for (int i = 0; i < kStep && floor_ != nullptr; ++i) {
      floor_ = floor_->next;
      --below_;
    }
    Link* block = top_;
    top_ = block->next;
    return block;
  }

  Link* top_ = nullptr;
  mutable const Link* floor_ = nullptr;
  mutable std::size_t below_ = 0;  // number of blocks from the floor down, including the floor
};

}  // namespace memtool
