// Maps the memory of a heap: for each bucket of addresses, who holds it and whether it is resident.
//
// The live blocks and the resident pages are known for every heap. A strategy on a region also reports which bytes are
// free or metadata (walk()). Nothing here allocates after construction, because the allocation would appear on the map.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "engine/abi/capi.h"
#include "engine/instruments/pages.hpp"

namespace memtool {

class HeapMapper {
 public:
  using BlockReport = std::function<void(const void* block, std::size_t bytes)>;

  // Records which pages are resident now. Memory in `ours` belongs to the harness and appears on no map.
  explicit HeapMapper(std::span<const AddressRange> ours) noexcept;
  [[nodiscard]] bool ready() const noexcept { return pages_.mapped() && before_pages_.mapped() && text_.mapped(); }

  // Maps a strategy on a region. `walk` calls its visitor for every block, as Strategy::walk does. `live` reports every
  // live block, because an arena does not know which of its blocks are dead.
  void map_region(const Region& region, const std::function<void(const BlockVisitor&)>& walk,
                  const std::function<void(const BlockReport&)>& live, HeapMap& map) const;
  // Maps the anonymous memory of the process. `live` reports every live block.
  void map_process(const std::function<void(const BlockReport&)>& live, HeapMap& map) const;

 private:
  // Calls visit(begin, end), in order, for each run of resident pages in anonymous writable memory that is not ours.
  template <class Visit>
  void for_each_resident_run(Visit visit) const;
  template <class Visit>
  void visit_runs(std::uintptr_t begin, std::uintptr_t end, Visit& visit) const;
  [[nodiscard]] std::span<const AddressRange> before() const noexcept {
    return {static_cast<const AddressRange*>(before_pages_.base()), before_count_};
  }

  static constexpr std::size_t kMostOurs = 16;
  AddressRange ours_[kMostOurs];
  std::size_t ours_count_ = 0;
  OwnPages pages_;         // the output of mincore(): one byte for each page
  OwnPages before_pages_;  // runs that were resident at construction
  OwnPages text_;          // /proc/self/maps
  std::size_t before_count_ = 0;
};

}  // namespace memtool
