// std::unique_ptr owns every block. This shows what sole ownership costs over a plain pointer.
#pragma once

#include <array>
#include <memory>
#include <new>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/foreign_heaps.hpp"

namespace memtool {

class UniquePtr : public MallocBlocks {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "make",
       .summary = "make_unique zeroes an array, make_unique_for_overwrite does not",
       .default_value = 0,
       .unit = "choice",
       .choices = "overwrite|zero"},
  }};
  static constexpr StrategyInfo info{
      .name = "unique-ptr",
      .family = "standard",
      .summary = "std::unique_ptr<std::byte[]> owns each block, from any malloc (malloc=NAME).",
      .source = "ISO C++20, [unique.ptr.create]",
      .complexity = "as new[] and unsized delete[]; make=zero also writes the block",
      .when = "objects with one owner; shows that ownership is free, and what make_unique adds for an array",
      .parameters = kParameters,
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::linker,
      .sized_free = false,
  };

  UniquePtr(Region&, const Parameters& parameters) noexcept : zero_(parameters["make"] == 1) {}
  // An array of bytes cannot request more than the default alignment.
  static Limits limits(const Parameters&) { return {.largest_alignment = __STDCPP_DEFAULT_NEW_ALIGNMENT__}; }

  // make_unique throws where a strategy returns nullptr; the try block costs nothing unless it throws. The pointer goes
  // to the program, and returns when its owner ends.
  void* allocate(std::size_t size, std::size_t) noexcept {
    try {
      return (zero_ ? std::make_unique<std::byte[]>(size) : std::unique_ptr<std::byte[]>(new std::byte[size]))
          .release();
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept {
    const std::unique_ptr<std::byte[]> owner(static_cast<std::byte*>(block));
  }
  void deallocate(void* block) noexcept { deallocate(block, 0, kDefaultAlignment); }

 private:
  bool zero_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::UniquePtr);
