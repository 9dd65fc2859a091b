// The blocks that an allocator returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocators/concept/any_heap.hpp"
#include "engine/instruments/pages.hpp"
#include "kinds/access/ways.hpp"

namespace memtool::access {

class Blocks {
 public:
  Blocks(KernelCall& call, const Image& image, std::uint64_t alignment);
  ~Blocks() { free(); }
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;

  // Opens a new heap without blocks. Each of these functions returns false once the sample has failed, with a message
  // in the result.
  bool open();
  bool allocate();
  void free() noexcept;  // the youngest first

  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] std::byte* at(std::uint64_t i) const noexcept { return blocks_.data()[i]; }
  [[nodiscard]] std::uint64_t size(std::uint64_t i) const noexcept { return sizes_.data()[i]; }
  [[nodiscard]] const AnyHeap& heap() const noexcept { return *heap_; }
  void touch() const noexcept;  // writes to each page of each block

 private:
  KernelCall& call_;
  std::uint64_t alignment_;
  std::uint64_t count_;
  std::uint64_t allocated_ = 0;
  Table<std::uint64_t> sizes_;
  Table<std::byte*> blocks_;
  std::unique_ptr<AnyHeap> heap_;
};

// The check pass: every block is aligned, lies within the region, and keeps what was written to it.
bool check_blocks(KernelCall& call, const Blocks& blocks, std::uint64_t alignment);
// The footprint pass: the memory that the blocks take, and the cache lines on which they lie.
void account(KernelCall& call, const Image& image, std::uint64_t alignment);

}  // namespace memtool::access
