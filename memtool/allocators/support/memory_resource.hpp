// The memory resources of std::pmr as strategies: their upstreams and their common part.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <memory_resource>
#include <new>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/physical/physical_heap.hpp"

namespace memtool {

// An upstream that takes memory from the region and frees nothing, for a resource that frees nothing either.
class RegionEnd final : public std::pmr::memory_resource {
 public:
  explicit RegionEnd(Region& region) noexcept : region_(region) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    const std::size_t padding = -reinterpret_cast<std::uintptr_t>(region_.base() + region_.used()) & (alignment - 1);
    void* first = bytes + padding < bytes ? nullptr : region_.grow(bytes + padding);
    if (first == nullptr) throw std::bad_alloc();
    return static_cast<std::byte*>(first) + padding;
  }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  Region& region_;
};

// An upstream that is a heap on the region. It uses segregated fit, so a freed block serves the next request of its
// size even if the region is exhausted, and it coalesces free neighbours at once.
class RegionHeap final : public std::pmr::memory_resource {
 public:
  explicit RegionHeap(Region& region) noexcept : heap_(region, kLog2Subdivisions, kGrowthStep) {}
  void walk(const BlockVisitor& visit) const { heap_.walk(visit); }
  void check() const { heap_.check(); }

 private:
  static constexpr unsigned kLog2Subdivisions = 5;
  static constexpr std::size_t kGrowthStep = 4096;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = heap_.allocate(std::max<std::size_t>(bytes, 1), alignment);
    if (block == nullptr) throw std::bad_alloc();
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    heap_.deallocate(block, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  PhysicalHeap<FirstInClass> heap_;
};

// Passes requests to a resource as a program would: each size is a multiple of its alignment, like every sizeof.
// Resources rely on this (libstdc++ before 13.4 otherwise misaligned blocks of its pools). Calls go through a pointer
// to the base class, as those of a polymorphic_allocator do.
class PmrClient {
 public:
  explicit PmrClient(std::pmr::memory_resource* resource) noexcept : resource_(resource) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const Request rounded = request(size, alignment);
    if (rounded.bytes < size) return nullptr;
    try {
      void* block = resource_->allocate(rounded.bytes, rounded.alignment);
      // The function is declared never to return nullptr, but a pool of libstdc++ 12 did when memory was exhausted. The
      // compiler must not rely on the declaration.
      asm volatile("" : "+r"(block));
      return block;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    const Request rounded = request(size, alignment);
    resource_->deallocate(block, rounded.bytes, rounded.alignment);
  }
  // A resource records no more than the requested size of a block.
  [[nodiscard]] std::size_t usable_size(const void*, std::size_t size) const noexcept { return size + (size == 0); }

 private:
  struct Request {
    std::size_t bytes;
    std::size_t alignment;
  };
  static Request request(std::size_t size, std::size_t alignment) noexcept {
    // Small types have a smaller alignment. At 16, a type of 8 bytes would waste another 8.
    if (size <= sizeof(void*) && alignment <= kDefaultAlignment) return {sizeof(void*), sizeof(void*)};
    return {bits::round_up(size, alignment), alignment};
  }

  std::pmr::memory_resource* resource_;
};

}  // namespace memtool
