// The marks of a workload in its image: where the footprint and the heap pass stop to look.
#pragma once

#include <cstdint>

#include "engine/events/events.hpp"

namespace memtool {

// Where the replay stops for a map, and of what moment.
struct MapStop {
  const std::uint64_t* at;
  std::uint64_t moment;
};

// The next mark of the image in [at, end); at `end` when there is none.
inline MapStop next_mark(const std::uint64_t* at, const std::uint64_t* end) noexcept {
  for (; at < end; at += word::length(*at))
    if (word::kind(*at) == Kind::mark) return {at, word::slot(*at)};
  return {end, 0};
}

}  // namespace memtool
