// When the operations of an open-loop workload are meant to begin.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memtool {

// Writes the intended start of each of `count` operations, in picoseconds from the beginning of the run, as
// `program` says (workload/arrivals.py writes it): seed, operations that come together, then the law of the
// time between two such bursts. Whole numbers only: the same on every machine. 0 operations that come together stand
// for a frame at a time, an outermost scope of the serial image `words`.
void schedule_arrivals(const std::uint64_t* program, std::uint64_t* starts, std::size_t count,
                       const std::uint64_t* words) noexcept;

}  // namespace memtool
