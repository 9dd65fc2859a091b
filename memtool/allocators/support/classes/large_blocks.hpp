// The large requests of a strategy that carves its small blocks from pages. Each large block is a run of pages.
#pragma once

#include <algorithm>
#include <cstddef>

#include "allocators/support/classes/page_runs.hpp"

namespace memtool {

class LargeBlocks {
 public:
  explicit LargeBlocks(PageRuns& runs) noexcept : runs_(runs) {}

  [[nodiscard]] [[gnu::noinline]] void* allocate(std::size_t size, std::size_t alignment) noexcept {
    void* run = runs_.allocate(PageRuns::pages_for(size), std::max(alignment, PageRuns::kPage));
    if (run != nullptr) {
      bytes_ += runs_.run_bytes(run);
      ++blocks_;
    }
    return run;
  }
  [[gnu::noinline]] void deallocate(void* block) noexcept {
    bytes_ -= runs_.run_bytes(block);
    --blocks_;
    runs_.deallocate(block);
  }
  // Tries to resize the block in place so that it holds `size` bytes. Returns whether that succeeded.
  [[nodiscard]] bool resize(void* block, std::size_t size) noexcept {
    const std::size_t before = runs_.run_bytes(block);
    if (!runs_.resize(block, PageRuns::pages_for(size))) return false;
    bytes_ += runs_.run_bytes(block) - before;
    return true;
  }

  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] std::size_t blocks() const noexcept { return blocks_; }

 private:
  PageRuns& runs_;
  std::size_t bytes_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace memtool
