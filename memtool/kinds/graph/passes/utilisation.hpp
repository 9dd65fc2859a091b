// The share of time that the pauses of a run leave to the program.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kinds/graph/collectors/settings.hpp"

namespace memtool::graph {

// The smallest share, in millionths, that the program had of any window of this many ticks within a run (Cheng and
// Blelloch, "A parallel, real-time garbage collector", PLDI 2001); ~0 if the run is shorter. Pauses ascend.
inline std::uint64_t least_utilisation(std::span<const Pause> pauses, std::uint64_t begin, std::uint64_t end,
                                       std::uint64_t window) {
  if (window == 0 || end - begin < window) return ~std::uint64_t{0};
  // The worst window begins or ends with a pause.
  std::uint64_t most = 0;
  std::size_t first = 0;
  std::uint64_t whole = 0;  // sum of the complete pauses [first, next)
  std::size_t next = 0;
  for (std::size_t i = 0; i < pauses.size(); ++i) {
    const std::uint64_t from = std::min(pauses[i].begin, end - window);
    while (next < pauses.size() && pauses[next].begin < from + window) {
      whole += pauses[next].end - pauses[next].begin;
      ++next;
    }
    while (first < next && pauses[first].end <= from) {
      whole -= pauses[first].end - pauses[first].begin;
      ++first;
    }
    std::uint64_t paused = whole;
    if (first < next && pauses[first].begin < from) paused -= from - pauses[first].begin;
    if (first < next && pauses[next - 1].end > from + window) paused -= pauses[next - 1].end - (from + window);
    most = std::max(most, paused);
  }
  first = next = 0;
  whole = 0;
  for (const Pause& pause : pauses) {
    const std::uint64_t to = std::max(pause.end, begin + window);
    const std::uint64_t from = to - window;
    while (next < pauses.size() && pauses[next].begin < to) {
      whole += pauses[next].end - pauses[next].begin;
      ++next;
    }
    while (first < next && pauses[first].end <= from) {
      whole -= pauses[first].end - pauses[first].begin;
      ++first;
    }
    std::uint64_t paused = whole;
    if (first < next && pauses[first].begin < from) paused -= from - pauses[first].begin;
    if (first < next && pauses[next - 1].end > to) paused -= pauses[next - 1].end - to;
    most = std::max(most, paused);
  }
  return (window - std::min(most, window)) * 1'000'000 / window;
}

}  // namespace memtool::graph
