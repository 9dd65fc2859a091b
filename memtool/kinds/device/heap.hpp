// Device memory as a heap for the replay. The processor does not access its blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "allocators/concept/any_heap.hpp"
#include "engine/replay/kernel.hpp"
#include "kinds/device/driver.hpp"

namespace memtool::device {

// The source of a heap: the row's allocator, which divides one buffer, or a driver for each allocation.
struct Source {
  KernelCall& call;
  Driver* driver;  // nullptr: one buffer is divided
  [[nodiscard]] StrategyInfo info() const noexcept {
    StrategyInfo info{};
    info.name = "device";
    info.uses_region = driver == nullptr;
    info.route = CallRoute::pointer;
    return info;
  }
};

// Each block is a separate allocation of the driver. This function is apart from the loop: if the compiler saw a single
// type of heap, it would speculate on it at each call, which is wrong for all strategies.
std::unique_ptr<AnyHeap> make_heap(Driver& driver);

// If a buffer is divided, addresses are those of the region, in which only the strategy's metadata is written. The
// offset from the region's base is the offset in the buffer. Otherwise the driver determines the addresses.
class Heap {
 public:
  struct Marker {};

  Heap(Region& region, const Source& source)
      : info(source.info()),
        heap_(source.driver != nullptr ? make_heap(*source.driver) : source.call.given(region, source.call.findings)) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept { return heap_->allocate(size, alignment); }
  // No processor writes to it.
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept { return allocate(size, alignment); }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    heap_->deallocate(block, size, alignment);
  }
  // Nothing is copied, because a workload that resizes is refused (work.py).
  void* reallocate(void*, std::size_t, std::size_t, std::size_t) noexcept { return nullptr; }
  Marker mark() noexcept { return heap_->mark(), Marker{}; }
  void release(Marker) noexcept { heap_->release(); }
  [[nodiscard]] bool scoped() const noexcept { return heap_->scoped(); }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const noexcept {
    return heap_->usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const noexcept { return heap_->stats(); }
  void walk(const BlockVisitor& visit) const { heap_->walk(visit); }
  void check() const { heap_->check(); }

  const StrategyInfo info;

 private:
  std::unique_ptr<AnyHeap> heap_;
};

}  // namespace memtool::device
