// The share of time that the pauses of a run leave to the program.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>

#include "kinds/graph/collectors/settings.hpp"

namespace memtool::graph {

// The pauses within a window that moves forward.
class Window {
 public:
  explicit Window(std::span<const Pause> pauses) noexcept : pauses_(pauses) {}

  // How much of the window the pauses take. Windows ascend.
  std::uint64_t paused(std::uint64_t from, std::uint64_t to) noexcept {
    for (; next_ < pauses_.size() && pauses_[next_].begin < to; ++next_)
      whole_ += pauses_[next_].end - pauses_[next_].begin;
    for (; first_ < next_ && pauses_[first_].end <= from; ++first_)
      whole_ -= pauses_[first_].end - pauses_[first_].begin;
    std::uint64_t paused = whole_;
    if (first_ < next_ && pauses_[first_].begin < from) paused -= from - pauses_[first_].begin;
    if (first_ < next_ && pauses_[next_ - 1].end > to) paused -= pauses_[next_ - 1].end - to;
    return paused;
  }

 private:
  std::span<const Pause> pauses_;
  std::size_t first_ = 0;
  std::size_t next_ = 0;
  std::uint64_t whole_ = 0;  // sum of the complete pauses [first, next)
};

// The smallest share, in millionths, that the program had of any window of this many ticks within a run (Cheng and
// Blelloch, "A parallel, real-time garbage collector", PLDI 2001); ~0 if the run is shorter. Pauses ascend.
inline std::uint64_t least_utilisation(std::span<const Pause> pauses, std::uint64_t begin, std::uint64_t end,
                                       std::uint64_t window) {
  if (window == 0 || end - begin < window) return ~std::uint64_t{0};
  // The worst window begins or ends with a pause.
  std::uint64_t most = 0;
  Window begins(pauses);
  Window ends(pauses);
  for (const Pause& pause : pauses) {
    const std::uint64_t from = std::min(pause.begin, end - window);
    const std::uint64_t to = std::max(pause.end, begin + window);
    most = std::max({most, begins.paused(from, from + window), ends.paused(to - window, to)});
  }
  return (window - std::min(most, window)) * 1'000'000 / window;
}

}  // namespace memtool::graph
