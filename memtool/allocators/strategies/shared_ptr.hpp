// std::shared_ptr owns every block. This shows the cost of reference counting in time and, through the control block,
// in memory.
#pragma once

#include <array>
#include <memory>
#include <new>
#include <utility>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/foreign_heaps.hpp"

// GCC 11's library cannot allocate an array together with its control block.
#ifdef __cpp_lib_smart_ptr_for_overwrite

namespace memtool {

class SharedPtr : public ForeignHeap {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "make",
       .summary = "one allocation for the object and its control block, or one for each",
       .default_value = 0,
       .unit = "choice",
       .choices = "together|apart"},
  }};
  static constexpr StrategyInfo info{
      .name = "shared-ptr",
      .family = "standard",
      .summary = "std::shared_ptr owns each block, with its control block in the same allocation or not (malloc=NAME).",
      .source = "ISO C++20, [util.smartptr.shared.create]",
      .complexity = "one or two calls of operator new, and a count, which is atomic once the program has threads",
      .when = "objects without a single owner; the cost of the control block, and what make_shared saves",
      .parameters = kParameters,
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::linker,
      .sized_free = false,
  };

  SharedPtr(Region&, const Parameters& parameters) noexcept : apart_(parameters["make"] == 1) {}
  static Limits limits(const Parameters&) { return {.largest_alignment = kDefaultAlignment}; }

  // In a program the owning pointer lies wherever the program keeps it. Here it lies in front of the object. Creating
  // one throws where a strategy returns nullptr; the try block costs nothing unless it throws.
  void* allocate(std::size_t size, std::size_t) noexcept {
    try {
      Owner owner = apart_ ? Owner(::operator new(sizeof(Front) + size), Release{}) : together(sizeof(Front) + size);
      auto* front = static_cast<Front*>(owner.get());
      new (front) Front{std::move(owner)};
      return front + 1;
    } catch (const std::bad_alloc&) {
      return nullptr;
    }
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept {
    auto* front = static_cast<Front*>(block) - 1;
    const Owner owner = std::move(front->owner);
    front->~Front();
  }
  std::size_t usable_size(const void*, std::size_t size) const noexcept { return size; }

 private:
  using Owner = std::shared_ptr<void>;
  struct alignas(kDefaultAlignment) Front {
    Owner owner;
  };
  struct alignas(kDefaultAlignment) Granule {
    std::array<std::byte, kDefaultAlignment> bytes;
  };
  struct Release {
    void operator()(void* memory) const noexcept { ::operator delete(memory); }
  };

  static Owner together(std::size_t bytes) {
    if (bytes > kUnlimited / 2) throw std::bad_alloc();  // rounding up would overflow
    return std::make_shared_for_overwrite<Granule[]>(bits::round_up(bytes, sizeof(Granule)) / sizeof(Granule));
  }

  bool apart_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::SharedPtr);

#endif
