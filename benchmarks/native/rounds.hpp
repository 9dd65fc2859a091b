// The rounds of a program that was written by hand: timed, and the last one counted where callgrind watches
// (--instr-atstart=no).
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#else
#define CALLGRIND_START_INSTRUMENTATION
#define CALLGRIND_STOP_INSTRUMENTATION
#endif

namespace by_hand {

inline std::uint64_t nanoseconds() noexcept {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

// Nanoseconds of a body.
template <class Body>
std::uint64_t timed(bool is_counted, Body body) {
  if (is_counted) CALLGRIND_START_INSTRUMENTATION;
  const std::uint64_t start = nanoseconds();
  body();
  const std::uint64_t taken = nanoseconds() - start;
  if (is_counted) CALLGRIND_STOP_INSTRUMENTATION;
  return taken;
}

// Nanoseconds of the fastest of so many.
template <class Body>
std::uint64_t fastest(long rounds, Body body) {
  std::uint64_t best = ~std::uint64_t{0};
  for (; rounds > 0; --rounds) best = std::min(best, timed(rounds == 1, body));
  return best;
}

}  // namespace by_hand
