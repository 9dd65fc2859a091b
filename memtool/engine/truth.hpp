// Whether what a strategy says of itself can be true together with what it was seen to do.
#pragma once

#include <cstdint>
#include <string>

#include "engine/strategy.hpp"

namespace memtool {

// One line that names the lie; empty: it can be true. `live`: bytes asked for and not freed; `used`: bytes taken from
// the region.
inline std::string why_untrue(const HeapStats& stats, std::uint64_t live, std::uint64_t used) {
  if (stats.granted == kNotApplicable) return {};
  if (stats.granted < live)
    return "stats() claims fewer granted bytes (" + std::to_string(stats.granted) + ") than are live (" +
           std::to_string(live) + ")";
  const std::uint64_t footprint = used + stats.metadata_apart_bytes;
  if (stats.granted > footprint)
    return "stats() claims more granted bytes (" + std::to_string(stats.granted) + ") than its footprint (" +
           std::to_string(footprint) + ")";
  const auto known = [](std::uint64_t figure) { return figure == kNotApplicable ? 0 : figure; };
  const std::uint64_t sum = stats.granted + known(stats.free_bytes) + known(stats.metadata_bytes);
  if (sum > footprint)
    return "stats() accounts for " + std::to_string(sum) + " bytes of a footprint of " + std::to_string(footprint);
  if (stats.largest_free != kNotApplicable && stats.free_bytes != kNotApplicable &&
      stats.largest_free > stats.free_bytes)
    return "stats() claims a largest free block of " + std::to_string(stats.largest_free) + " bytes among " +
           std::to_string(stats.free_bytes) + " free ones";
  return {};
}

}  // namespace memtool
