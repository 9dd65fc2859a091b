// std::allocator, the default of every standard container.
#pragma once

#include <memory>
#include <new>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/foreign_heaps.hpp"

namespace memtool {

class StdAllocator : public MallocBlocks {
 public:
  static constexpr StrategyInfo info{
      .name = "std-allocator",
      .family = "standard",
      .summary = "std::allocator<std::byte>, from any malloc (malloc=NAME).",
      .source = "ISO C++20, [default.allocator]",
      .complexity = "as operator new",
      .when = "containers that name no other allocator",
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::linker,
  };

  StdAllocator(Region&, const Parameters&) noexcept {}
  // A std::allocator of bytes cannot request more than the default alignment.
  static Limits limits(const Parameters&) { return {.largest_alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__}; }

  // std::allocator throws where a strategy returns nullptr. The try block costs nothing unless it throws.
  void* allocate(std::size_t size, std::size_t) noexcept {
    try {
      return allocator_.allocate(size);
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  void deallocate(void* block, std::size_t size, std::size_t) noexcept {
    allocator_.deallocate(static_cast<std::byte*>(block), size);
  }
  void deallocate(void* block) noexcept { ::operator delete(block); }

 private:
  [[no_unique_address]] std::allocator<std::byte> allocator_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::StdAllocator);
