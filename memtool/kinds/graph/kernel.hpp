// The kernel of graphs: plays a program on a collector, or on an explicit allocator with frees where objects die.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/abi/capi.h"
#include "engine/instruments/histogram.hpp"
#include "engine/replay/kernel.hpp"

namespace memtool::graph {

// Windows of time, in nanoseconds: of each the least share that the program had of any such window.
inline constexpr std::uint64_t kWindows[] = {
    100'000,    200'000,     500'000,     1'000'000,   2'000'000,    5'000'000,    10'000'000,   20'000'000,
    50'000'000, 100'000'000, 200'000'000, 500'000'000, 1000'000'000, 2000'000'000, 5000'000'000, 10'000'000'000};
inline constexpr std::size_t kWindowCount = sizeof kWindows / sizeof *kWindows;

// results.py has the same. ~0: not applicable.
struct CheckFigures {
  std::uint64_t checks;
  std::uint64_t surviving_objects;
  std::uint64_t surviving_size;
  std::uint64_t floating_bytes;     // the most that a collection left though nothing led to it
  std::uint64_t unreclaimed_bytes;  // and what the last one left, at the end
};
inline constexpr std::size_t kCourse = 2048;
struct CoursePause {
  std::uint64_t begin;  // ticks since the replay began
  std::uint64_t ticks;
  std::uint64_t cause;
  std::uint64_t processor_ns;
};
struct PauseFigures {
  std::uint64_t pauses;
  std::uint64_t maximum;      // ticks
  std::uint64_t pause_ticks;  // of all
  std::uint64_t overtaken;    // pauses for the rest of a collection, because memory was out
  std::uint64_t elapsed_ticks;
  std::uint64_t utilisation[kWindowCount];  // in millionths
  std::uint64_t replay_ns;                  // processor time
  std::uint64_t paused_ns;                  // its part in pauses
  std::uint64_t guarded_ns;                 // of a replay on a heap that is never full
  std::uint64_t unguarded_ns;               // of one without barriers
  std::uint64_t mutator_ns;                 // of one on objects whose places are known
  std::uint64_t course_length;
  CoursePause course[kCourse];
  std::uint64_t counts[Histogram::kBuckets];
};
struct HeapFigures {
  std::uint64_t limit;
  std::uint64_t collections;
  std::uint64_t minor_collections;
  std::uint64_t forced_collections;
  std::uint64_t marked_bytes;
  std::uint64_t copied_bytes;
  std::uint64_t promoted_bytes;
  std::uint64_t barrier_hits;
  std::uint64_t most_work;  // of an increment between two looks at the clock: references, objects and blocks
  std::uint64_t peak_footprint_bytes;
  std::uint64_t peak_resident_bytes;
};
// What lies where, with bytes of each bucket by age: parts of what is used, and what is dead.
enum Age : std::size_t {
  kOnce,      // used: has outlived one collection
  kMore,      // used: several
  kDead,      // came since the last collection
  kDeadKept,  // a collection has left it
  kAges
};
struct GraphMap {
  HeapMap map;
  std::uint64_t has_ages;  // only collectors have
  struct {
    std::uint64_t bytes[kAges];
  } ages[MEMTOOL_MOST_BUCKETS];
};
struct MapsFigures {
  std::uint64_t maps;
  GraphMap map[2];
};

bool is_collector(std::string_view name) noexcept;
void run(KernelCall& call);

}  // namespace memtool::graph
