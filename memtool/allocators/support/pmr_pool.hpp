// The common part of the two pool resources of std::pmr as strategies: the parameters and the choice of an upstream.
#pragma once

#include <algorithm>
#include <array>
#include <memory_resource>
#include <new>
#include <optional>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/memory_resource.hpp"

namespace memtool {

template <class Resource>
class PmrPool : public PmrClient {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "upstream",
       .summary = "source of the chunks: a heap or a monotonic buffer on the region, or operator new",
       .default_value = 0,
       .unit = "choice",
       .choices = "region|monotonic|new-delete"},
      {.name = "largest",
       .summary = "bytes of the largest pooled block; 0: the library's default",
       .default_value = 0,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 22},
      {.name = "blocks",
       .summary = "largest number of blocks in a chunk; 0: the library's default",
       .default_value = 0,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 19,
       .unit = "count"},
  }};

  PmrPool(Region& region, const Parameters& parameters)
      : PmrClient(&resource_), upstream_(region, parameters), resource_(options(parameters), upstream_.chosen()) {}
  static Limits limits(const Parameters&) { return {.least_alignment = sizeof(void*)}; }
  static bool uses_region(const Parameters& parameters) { return parameters["upstream"] != kNewDelete; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (size > sizeof(void*)) return PmrClient::allocate(size, alignment_of(size, alignment));
    chunk_of_words_ = true;
    void* block = PmrClient::allocate(size, alignment);
    chunk_of_words_ = false;
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    PmrClient::deallocate(block, size, alignment_of(size, alignment));
  }

  HeapStats stats() const noexcept { return {.metadata_apart_bytes = upstream_.outside_bytes()}; }
  void walk(const BlockVisitor& visit) const { upstream_.walk(visit); }
  void check() const { upstream_.check(); }

 private:
  static constexpr std::uint64_t kRegion = 0;
  static constexpr std::uint64_t kMonotonic = 1;
  static constexpr std::uint64_t kNewDelete = 2;

  // libstdc++ (12, and its newest version) crashes if an upstream grants a pool a chunk but refuses the list of its
  // chunks: it still reads the last entry of the list. So if memory is exhausted, such a list is placed outside of the
  // region. The upstream recognizes it by its size and alignment: entries of three words. No chunk of blocks has these,
  // because alignment_of() and the pools' own sizes align everything larger than a word to at least 16.
  class Upstream final : public std::pmr::memory_resource {
   public:
    Upstream(Region& region, const Parameters& parameters) : region_(region), end_(region), monotonic_(&end_) {
      if (parameters["upstream"] == kRegion) source_ = &heap_.emplace(region);
      if (parameters["upstream"] == kMonotonic) source_ = &monotonic_;
    }
    [[nodiscard]] std::pmr::memory_resource* chosen() noexcept {
      return source_ == nullptr ? std::pmr::new_delete_resource() : this;
    }
    [[nodiscard]] std::size_t outside_bytes() const noexcept { return outside_bytes_; }
    // The inside of a chunk is private to the library, so the chunk is shown as one used block.
    void walk(const BlockVisitor& visit) const {
      if (heap_) return heap_->walk(visit);
      if (region_.used() > 0) visit(region_.base(), region_.used(), BlockState::used);
    }
    void check() const {
      if (heap_) heap_->check();
    }

   private:
    static constexpr std::size_t kEntry = 3 * sizeof(void*);

    void* do_allocate(std::size_t bytes, std::size_t alignment) override {
      try {
        void* granted = source_->allocate(bytes, alignment);
        chunk_of_words_ = false;  // the next request is for its list
        return granted;
      } catch (const std::bad_alloc&) {
        if (chunk_of_words_ || alignment > sizeof(void*) || bytes % kEntry != 0) throw;
      }
      outside_bytes_ += bytes;
      return ::operator new(bytes);
    }
    void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
      if (region_.contains(block, bytes)) return source_->deallocate(block, bytes, alignment);
      outside_bytes_ -= bytes;
      ::operator delete(block, bytes);
    }
    [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

    Region& region_;
    std::optional<RegionHeap> heap_;
    RegionEnd end_;
    std::pmr::monotonic_buffer_resource monotonic_;
    std::pmr::memory_resource* source_ = nullptr;  // nullptr: the blocks do not lie on the region
    std::size_t outside_bytes_ = 0;
  };

  // A block that is too large for the pools comes directly from the upstream, where an alignment of 16 costs nothing.
  [[nodiscard]] std::size_t alignment_of(std::size_t size, std::size_t alignment) const noexcept {
    return size > largest_ ? std::max(alignment, kDefaultAlignment) : alignment;
  }
  static std::pmr::pool_options options(const Parameters& parameters) {
    return {.max_blocks_per_chunk = parameters["blocks"], .largest_required_pool_block = parameters["largest"]};
  }

  // This thread is requesting a block of one word, so the pool's first request to the upstream is for a chunk of such
  // blocks.
  static inline thread_local bool chunk_of_words_ = false;

  Upstream upstream_;
  Resource resource_;
  std::size_t largest_ = resource_.options().largest_required_pool_block;
};

}  // namespace memtool
