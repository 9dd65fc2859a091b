// The intended start of each operation of an open-loop workload.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memtool {

// Writes the intended start of each of `count` operations, in picoseconds from the beginning of the run. `program`,
// which memtool/workload/language/arrivals.py writes, holds the seed, the number of operations in a burst, and the law
// of the time between two bursts. The computation uses whole numbers only, so it gives the same result on every
// machine. A burst of 0 operations stands for one frame, which is an outermost scope of the serial image `words`.
void schedule_arrivals(const std::uint64_t* program, std::uint64_t* starts, std::size_t count,
                       const std::uint64_t* words) noexcept;

}  // namespace memtool
