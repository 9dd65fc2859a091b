// The marks of a workload in its image: where the footprint and the heap pass stop to look.
#pragma once

#include <cstdint>

#include "engine/events/events.hpp"
#include "engine/replay/image.hpp"

namespace memtool {

// Where the replay stops for a map, and of what moment.
struct MapStop {
  const std::uint64_t* at;
  std::uint64_t moment;
};

// The next mark from `at` on; at the epilogue when there is none. An image without marks is not read for it.
inline MapStop next_mark(const Image& image, const std::uint64_t* at) noexcept {
  for (; image.head.marks > 0 && at < image.epilogue; at += word::length(*at))
    if (word::kind(*at) == Kind::mark) return {at, word::slot(*at)};
  return {image.epilogue, 0};
}

}  // namespace memtool
