// Heaps other than those of the strategies: the control, and heaps that observe another heap.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>

#include "allocators/concept/adaptor.hpp"
#include "allocators/support/bits.hpp"
#include "kinds/mute.hpp"

namespace memtool::containers {

// The minimum for an allocator of many sizes: a free list for each size, and a pointer that moves upwards. Each free
// passes the size. The time of a row above this one is the cost of its allocator.
class Control final : public Mute {
 public:
  explicit Control(Region& region) noexcept : at_(region.base()), left_(region.capacity()) {}
  void* allocate(std::size_t size, std::size_t) override {
    Link*& first = free_[level(size)];
    if (Link* block = first) {
      first = block->next;
      return block;
    }
    const std::size_t bytes = size <= kSmall ? bits::round_up(size + (size == 0), kStep) : std::bit_ceil(size);
    if (bytes > left_) return nullptr;
    left_ -= bytes;
    void* block = at_;
    at_ += bytes;
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t) override {
    Link*& first = free_[level(size)];
    first = new (block) Link{first};
  }

 private:
  struct Link {
    Link* next;
  };
  static constexpr std::size_t kStep = 16;
  static constexpr std::size_t kSmall = 1024;
  static std::size_t level(std::size_t size) noexcept {
    if (size <= kSmall) return (size + kStep - 1) / kStep;
    return kSmall / kStep + static_cast<std::size_t>(std::bit_width(size - 1));
  }

  std::byte* at_;
  std::size_t left_;
  std::array<Link*, kSmall / kStep + 65> free_{};
};

// The process's own malloc, with a record of the order in which blocks are allocated and freed.
class Surveyed final : public Mute {
 public:
  // Read by Python: binding.py.
  struct Figures {
    std::uint64_t allocations;
    std::uint64_t asked_bytes;  // sum of all requests
    std::uint64_t peak_live_bytes;
    std::uint64_t peak_blocks;
    std::uint64_t smallest_size;
    std::uint64_t largest_size;
    std::uint64_t largest_alignment;
    std::uint64_t elements;  // visited, copied or destroyed
    std::uint64_t checksum;
    std::uint64_t is_lifo;  // every freed block was the youngest
    std::uint64_t is_fifo;  // every freed block was the oldest
  };
  explicit Surveyed(Figures& figures) noexcept : figures_(figures) {
    figures_ = {};
    figures_.smallest_size = ~std::uint64_t{0};
    figures_.is_lifo = figures_.is_fifo = 1;
  }

  void* allocate(std::size_t size, std::size_t alignment) override {
    void* block = std::malloc(size);
    if (block == nullptr) return nullptr;
    ++figures_.allocations;
    figures_.asked_bytes += size;
    live_ += size;
    figures_.peak_live_bytes = std::max(figures_.peak_live_bytes, live_);
    figures_.peak_blocks = std::max(figures_.peak_blocks, ++blocks_);
    figures_.smallest_size = std::min<std::uint64_t>(figures_.smallest_size, size);
    figures_.largest_size = std::max<std::uint64_t>(figures_.largest_size, size);
    figures_.largest_alignment = std::max<std::uint64_t>(figures_.largest_alignment, alignment);
    if (figures_.is_lifo != 0 || figures_.is_fifo != 0) order_.push_back(block);
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t) override {
    live_ -= size;
    --blocks_;
    if (figures_.is_lifo != 0 && order_.back() == block) {
      order_.pop_back();
      figures_.is_fifo = 0;
    } else if (figures_.is_fifo != 0 && order_[oldest_] == block) {
      ++oldest_;
      figures_.is_lifo = 0;
    } else {
      figures_.is_lifo = figures_.is_fifo = 0;
    }
    std::free(block);
  }

 private:
  Figures& figures_;
  std::uint64_t live_ = 0;
  std::uint64_t blocks_ = 0;
  std::vector<void*> order_;
  std::size_t oldest_ = 0;
};

// The record of all heaps of a script together, as containers see them.
struct Book {
  std::map<std::uintptr_t, std::size_t> live;  // address -> size
  std::uint64_t allocations = 0;
  std::uint64_t asked_bytes = 0;
  std::uint64_t live_bytes = 0;
  std::uint64_t peak_live_bytes = 0;
  std::uint64_t peak_blocks = 0;
  std::uint64_t footprint = 0;
  std::uint64_t peak_footprint = 0;
  std::string complaint;  // the first; "": none

  void complain(std::string words) {
    if (complaint.empty()) complaint = std::move(words);
  }
};

// Keeps the book, and verifies that blocks lie where they must and overlap no other.
class Watched final : public Layer {
 public:
  Watched(std::unique_ptr<AnyHeap> heap, const Region& region, Book& book)
      : Layer(std::move(heap)), region_(region), on_region_(below().uses_region()), book_(book) {
    note_footprint(0);
  }

  void* allocate(std::size_t size, std::size_t alignment) override {
    const std::size_t before = region_.footprint();
    void* block = below().allocate(size, alignment);
    if (block == nullptr) return nullptr;
    note_footprint(before);
    verify(block, size, alignment);
    book_.live[reinterpret_cast<std::uintptr_t>(block)] = size;
    ++book_.allocations;
    book_.asked_bytes += size;
    book_.live_bytes += size;
    book_.peak_live_bytes = std::max(book_.peak_live_bytes, book_.live_bytes);
    book_.peak_blocks = std::max<std::uint64_t>(book_.peak_blocks, book_.live.size());
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    const std::size_t before = region_.footprint();
    book_.live.erase(reinterpret_cast<std::uintptr_t>(block));
    book_.live_bytes -= size;
    below().deallocate(block, size, alignment);
    note_footprint(before);
  }

 private:
  void note_footprint(std::size_t before) noexcept {
    if (!on_region_) return;
    book_.footprint += region_.footprint() - before;
    book_.peak_footprint = std::max(book_.peak_footprint, book_.footprint + (region_.peak() - region_.used()));
  }
  void verify(const void* block, std::size_t size, std::size_t alignment) {
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    if (begin % alignment != 0) book_.complain(worded("a block of %zu bytes is not aligned to %zu", size, alignment));
    if (on_region_ && !region_.contains(block, size))
      book_.complain(worded("a block of %zu bytes lies outside of what was taken from the region", size));
    const auto next = book_.live.lower_bound(begin);
    if (next != book_.live.end() && next->first - begin < std::max<std::size_t>(size, 1))
      book_.complain(worded("a block of %zu bytes reaches into a live one", size));
    if (next != book_.live.begin() && std::prev(next)->first + std::prev(next)->second > begin)
      book_.complain(worded("a block of %zu bytes begins in a live one", size));
  }

  const Region& region_;
  bool on_region_;
  Book& book_;
};

}  // namespace memtool::containers
