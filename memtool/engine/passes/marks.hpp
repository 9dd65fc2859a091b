// The marks of a workload in its image, at which the footprint pass and the heap pass stop.
#pragma once

#include <cstdint>

#include "engine/events/events.hpp"
#include "engine/replay/image.hpp"

namespace memtool {

// A position at which the replay stops for a map, and the moment that the map shows.
struct MapStop {
  const std::uint64_t* at;
  std::uint64_t moment;
};

// Returns the next mark from `at` on, or the epilogue if there is none. An image without marks is not scanned.
inline MapStop next_mark(const Image& image, const std::uint64_t* at) noexcept {
  for (; image.head.marks > 0 && at < image.epilogue; at += word::length(*at))
    if (word::kind(*at) == Kind::mark) return {at, word::slot(*at)};
  return {image.epilogue, 0};
}

}  // namespace memtool
