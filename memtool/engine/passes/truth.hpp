// Checks whether the figures that a strategy reports are consistent with its observed behaviour.
#pragma once

#include <cstdint>
#include <string>

#include "allocators/concept/strategy.hpp"

namespace memtool {

// No process has more bytes and no heap has more blocks, so a larger value cannot be true.
inline constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 47;

// Checks the result of usable_size() for a block of `size` bytes. Returns one line that names the contradiction, or "".
inline std::string why_unusable(std::uint64_t usable, std::uint64_t size) {
  if (usable < size) return "usable_size() is smaller than the " + std::to_string(size) + " bytes asked for";
  if (usable > kMostBytes)
    return "usable_size() says " + std::to_string(usable) + " bytes of a block of " + std::to_string(size) +
           ", more than a process can have";
  return {};
}

// The same for the sum of usable_size() over all live blocks, for which `live` bytes were requested. `footprint`: the
// memory in which they lie; kNotApplicable if only the kernel knows.
inline std::string why_not_granted(std::uint64_t granted, std::uint64_t live, std::uint64_t footprint) {
  const std::string sum = "usable_size() sums up to " + std::to_string(granted) + " bytes of live blocks";
  if (granted < live) return sum + " that asked for " + std::to_string(live);
  if (granted > kMostBytes) return sum + ", more than a process can have";
  if (granted > footprint) return sum + " in a footprint of " + std::to_string(footprint);
  return {};
}

// Returns one line that names the contradiction, or "". `live`: bytes requested and not freed. `used`: bytes taken from
// the region.
inline std::string why_untrue(const HeapStats& stats, std::uint64_t live, std::uint64_t used) {
  if (stats.metadata_apart_bytes > kMostBytes)
    return "stats() claims " + std::to_string(stats.metadata_apart_bytes) +
           " bytes of metadata outside its region, more than a process can have";
  const std::uint64_t footprint = used + stats.metadata_apart_bytes;
  struct Part {
    std::uint64_t figure;
    const char* meaning;
  };
  const Part parts[] = {
      {stats.granted, "granted bytes"},         {stats.free_bytes, "free bytes"},
      {stats.metadata_bytes, "metadata bytes"}, {stats.largest_free, "bytes in its largest free block"},
      {stats.free_blocks, "free blocks"},       {stats.used_blocks, "used blocks"}};
  for (const Part& part : parts) {
    // A block of 0 bytes takes no memory.
    const bool counts_blocks = &part >= parts + 4;
    if (part.figure != kNotApplicable && part.figure > (counts_blocks ? kMostBytes : footprint))
      return std::string("stats() claims more ") + part.meaning + " (" + std::to_string(part.figure) +
             ") than its footprint (" + std::to_string(footprint) + ")";
  }
  if (stats.granted == kNotApplicable) return {};
  if (stats.granted < live)
    return "stats() claims fewer granted bytes (" + std::to_string(stats.granted) + ") than are live (" +
           std::to_string(live) + ")";
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
