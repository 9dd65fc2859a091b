// What the two pool resources of std::pmr share as strategies: parameters, and the choice of an upstream.
#pragma once

#include <array>
#include <memory_resource>
#include <optional>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/memory_resource.hpp"

namespace memtool {

template <class Resource>
class PmrPool : public PmrClient {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "upstream",
       .summary = "what the chunks come from: a heap or a monotonic buffer on the region, or new",
       .default_value = 0,
       .unit = "choice",
       .choices = "region|monotonic|new-delete"},
      {.name = "largest",
       .summary = "largest block that is pooled; 0: as the library thinks best",
       .default_value = 0,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 22},
      {.name = "blocks",
       .summary = "most blocks in a chunk; 0: as the library thinks best",
       .default_value = 0,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 19,
       .unit = "count"},
  }};

  PmrPool(Region& region, const Parameters& parameters)
      : PmrClient(&resource_), upstream_(region, parameters), resource_(options(parameters), upstream_.chosen()) {}
  static Limits limits(const Parameters&) { return {.least_alignment = sizeof(void*)}; }
  static bool uses_region(const Parameters& parameters) { return parameters["upstream"] != kNewDelete; }

  HeapStats stats() const noexcept { return {}; }
  void walk(const BlockVisitor& visit) const { upstream_.walk(visit); }
  void check() const { upstream_.check(); }

 private:
  static constexpr std::uint64_t kRegion = 0;
  static constexpr std::uint64_t kMonotonic = 1;
  static constexpr std::uint64_t kNewDelete = 2;

  class Upstream {
   public:
    Upstream(Region& region, const Parameters& parameters) : region_(region), end_(region), monotonic_(&end_) {
      if (parameters["upstream"] == kRegion) chosen_ = &heap_.emplace(region);
      if (parameters["upstream"] == kMonotonic) chosen_ = &monotonic_;
    }
    [[nodiscard]] std::pmr::memory_resource* chosen() const noexcept { return chosen_; }
    // What a chunk is made of is the library's secret: to the region it is a used block.
    void walk(const BlockVisitor& visit) const {
      if (heap_) return heap_->walk(visit);
      if (region_.used() > 0) visit(region_.base(), region_.used(), BlockState::used);
    }
    void check() const {
      if (heap_) heap_->check();
    }

   private:
    Region& region_;
    std::optional<RegionHeap> heap_;
    RegionEnd end_;
    std::pmr::monotonic_buffer_resource monotonic_;
    std::pmr::memory_resource* chosen_ = std::pmr::new_delete_resource();
  };

  static std::pmr::pool_options options(const Parameters& parameters) {
    return {.max_blocks_per_chunk = parameters["blocks"], .largest_required_pool_block = parameters["largest"]};
  }

  Upstream upstream_;
  Resource resource_;
};

}  // namespace memtool
