// std::pmr::new_delete_resource.
#pragma once

#include <memory_resource>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/foreign_heaps.hpp"
#include "allocators/support/memory_resource.hpp"

namespace memtool {

class PmrNewDelete : public PmrClient, public ForeignHeap {
 public:
  static constexpr StrategyInfo info{
      .name = "pmr-new-delete",
      .family = "pmr",
      .summary = "std::pmr::new_delete_resource: operator new and delete behind a virtual call (malloc=NAME).",
      .source = "ISO C++20, [mem.res.global]; measured by Lakos et al., N4468 and P0089, 2015",
      .complexity = "as new-delete, and a virtual call",
      .when = "polymorphic allocators by default; every other memory resource has to beat it",
      .uses_region = false,
      .uses_malloc = true,
      .thread_safe = true,
      .route = CallRoute::pointer,
  };

  PmrNewDelete(Region&, const Parameters&) noexcept : PmrClient(std::pmr::new_delete_resource()) {}
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::PmrNewDelete);
