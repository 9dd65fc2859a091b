// std::pmr::monotonic_buffer_resource.
#pragma once

#include <algorithm>
#include <array>
#include <memory_resource>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/memory_resource.hpp"

namespace memtool {

class PmrMonotonicBuffer : public PmrClient {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "upstream",
       .summary = "source of the buffers",
       .default_value = 0,
       .unit = "choice",
       .choices = "region|new-delete"},
      {.name = "initial",
       .summary = "bytes of the first buffer; each further buffer is larger",
       .default_value = 1024,
       .minimum = 1,
       .maximum = std::uint64_t{1} << 40},
  }};
  static constexpr StrategyInfo info{
      .name = "pmr-monotonic-buffer",
      .family = "pmr",
      .summary = "std::pmr::monotonic_buffer_resource: allocates upwards from buffers; release() ends a scope.",
      .source = "ISO C++20, [mem.res.monotonic.buffer]; measured by Lakos et al., N4468 and P0089, 2015",
      .complexity = "allocate O(1) and a virtual call; deallocate is a virtual call that does nothing",
      .when = "a burst of allocations that all end together, behind the interfaces of the standard library",
      .parameters = kParameters,
      .free_order = FreeOrder::reset,
      .uses_malloc = true,
      .route = CallRoute::pointer,
  };

  PmrMonotonicBuffer(Region& region, const Parameters& parameters)
      : PmrClient(&resource_), region_(region), end_(region), resource_(make(region, end_, parameters)) {}
  static Limits limits(const Parameters&) { return {.least_alignment = 1}; }
  static bool uses_region(const Parameters& parameters) { return parameters["upstream"] == 0; }

  // release() frees everything, so it is called only at the end of a scope outside of which nothing was allocated.
  struct Marker {};
  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    used_outside_ |= depth_ == 0;
    return PmrClient::allocate(size, alignment);
  }
  Marker mark() noexcept {
    ++depth_;
    return {};
  }
  void release(Marker) noexcept {
    if (--depth_ > 0 || used_outside_) return;
    resource_.release();
    region_.shrink(region_.used() - first_);
  }

  HeapStats stats() const noexcept { return {}; }
  void walk(const BlockVisitor& visit) const {
    if (region_.used() > 0) visit(region_.base(), region_.used(), BlockState::used);
  }
  void check() const {}

 private:
  static std::pmr::monotonic_buffer_resource make(Region& region, RegionEnd& end, const Parameters& parameters) {
    if (!uses_region(parameters))
      return std::pmr::monotonic_buffer_resource(parameters["initial"], std::pmr::new_delete_resource());
    const std::size_t bytes = std::min<std::size_t>(parameters["initial"], region.capacity());
    return {region.grow(bytes), bytes, &end};
  }

  Region& region_;
  RegionEnd end_;
  std::size_t depth_ = 0;
  bool used_outside_ = false;  // something was allocated outside of any scope
  std::pmr::monotonic_buffer_resource resource_;
  std::size_t first_ = region_.used();  // bytes of the first buffer, which the resource keeps
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::PmrMonotonicBuffer);
