// std::pmr as strategies: what serves a memory resource of the library, and what all of them have in common.
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

// An upstream that takes from the region and gives nothing back, for a resource that does not either.
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

// An upstream that is a heap on the region: segregated fit, so that the block of a request that was freed serves the
// next of its size though the region has no more; free neighbours merged at once.
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

// Asks a resource for what a program would ask: sizes are multiples of their alignment, as every sizeof is. Resources
// rely on that (libstdc++ before 13.4 misaligned blocks of its pools otherwise). Calls go through a pointer to the base
// class, as those of a polymorphic_allocator do.
class PmrClient {
 public:
  explicit PmrClient(std::pmr::memory_resource* resource) noexcept : resource_(resource) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const Request rounded = request(size, alignment);
    if (rounded.bytes < size) return nullptr;
    try {
      void* block = resource_->allocate(rounded.bytes, rounded.alignment);
      // It is declared never to return nullptr, and a pool of libstdc++ 12 whose memory is out has been seen to: the
      // compiler must not rely on it.
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
  // A resource knows no more of a block than what was asked for.
  [[nodiscard]] std::size_t usable_size(const void*, std::size_t size) const noexcept { return size + (size == 0); }

 private:
  struct Request {
    std::size_t bytes;
    std::size_t alignment;
  };
  static Request request(std::size_t size, std::size_t alignment) noexcept {
    // Small types are aligned to less; one of 8 bytes would waste as many again.
    if (size <= sizeof(void*) && alignment <= kDefaultAlignment) return {sizeof(void*), sizeof(void*)};
    return {bits::round_up(size, alignment), alignment};
  }

  std::pmr::memory_resource* resource_;
};

}  // namespace memtool
