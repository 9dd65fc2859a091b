// A free list linked through the free blocks themselves; last in, first out.
//
// To put a block on it is one store into the block, to take one off is one load from it, and that is all: a count of
// its blocks, kept at every operation, would cost a third as much again. They are counted when someone asks, from the
// top down to the floor: the block that was on top at the last count, below which their number is known. Taking blocks
// off lowers the floor before it is reached. So a count costs no more than what has changed since the last one.
#pragma once

#include <cstddef>
#include <new>

namespace memtool {

class FreeList {
 public:
  // What a block must hold while it is free.
  struct Link {
    Link* next;
  };

  // `block` must be aligned for a Link and hold one.
  [[gnu::always_inline]] void push(void* block) noexcept { top_ = new (block) Link{top_}; }

  // The block that was put on last; nullptr when there is none.
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
  mutable std::size_t below_ = 0;  // blocks from the floor down, itself included
};

}  // namespace memtool
