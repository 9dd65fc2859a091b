// The global operator new and delete: the default of C++ programs.
#pragma once

#include <new>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/foreign_heaps.hpp"

namespace memtool {

class NewDelete : public MallocBlocks {
 public:
  static constexpr StrategyInfo info{
      .name = "new-delete",
      .family = "standard",
      .summary = "The global operator new and sized delete, from any malloc (malloc=NAME).",
      .source = "ISO C++20, [new.delete]",
      .complexity = "as malloc, and one more call",
      .when = "most C++ programs: it is the default that every custom allocator has to beat",
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::linker,
  };

  NewDelete(Region&, const Parameters&) noexcept {}
  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) [[likely]]
      return ::operator new(size, std::nothrow);
    return ::operator new(size, std::align_val_t{alignment}, std::nothrow);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) [[likely]] {
      ::operator delete(block, size);
    } else {
      ::operator delete(block, size, std::align_val_t{alignment});
    }
  }
  // Uses the plain delete, because a program that does not keep the size does not keep the alignment either.
  void deallocate(void* block) noexcept { ::operator delete(block); }
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::NewDelete);
