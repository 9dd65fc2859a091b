// A persistent heap: its whole state lies in the region, as offsets from the base. If the region is a file (--region
// file-shared), another process can open the heap again, at whatever address it maps the file.
#pragma once

#include <array>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/persistent/offset_heap.hpp"

namespace memtool {

class Persistent {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "open",
       .summary = "new: creates a heap and discards what the region holds; existing: opens the heap in the region, if "
                  "there is one",
       .default_value = 0,
       .minimum = 0,
       .maximum = 1,
       .unit = "choice",
       .choices = "new|existing"},
  }};
  static constexpr StrategyInfo info{
      .name = "persistent",
      .family = "persistent",
      .summary =
          "A heap of slabs and chunk runs that survives kill -9; pointers are offsets, and one store changes an owner.",
      .source =
          "Bhandari, Chakrabarti, Boehm: Makalu, OOPSLA 2016; Cai et al.: Understanding and optimizing persistent "
          "memory allocation (Ralloc), ISMM 2020",
      .complexity = "allocate O(1) in slabs, O(free runs) for large blocks and new slabs; deallocate O(1)",
      .when = "data that must be available, already checked, as soon as the program starts again",
      .parameters = kParameters,
  };
  static Limits limits(const Parameters&) { return {.largest_alignment = persistent::kLargestAlignment}; }

  Persistent(Region& region, const Parameters& parameters) : heap_(region, parameters["open"] == 0) {}
  ~Persistent() { heap_.close(); }
  Persistent(const Persistent&) = delete;
  Persistent& operator=(const Persistent&) = delete;

  void* allocate(std::size_t size, std::size_t alignment) noexcept { return heap_.allocate(size, alignment); }
  void deallocate(void* block) noexcept { heap_.deallocate(block); }
  void deallocate(void* block, std::size_t, std::size_t) noexcept { heap_.deallocate(block); }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t) const noexcept {
    return heap_.usable_size(block);
  }
  [[nodiscard]] HeapStats stats() const noexcept { return heap_.stats(); }
  void walk(const BlockVisitor& visit) const { heap_.walk(visit); }
  void check() const { heap_.check(); }

 private:
  persistent::OffsetHeap<> heap_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Persistent);
