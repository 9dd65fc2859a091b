// The kernel of graphs: plays a program on a collector, or on an explicit allocator with frees at the deaths of
// objects.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "engine/abi/capi.h"
#include "engine/instruments/histogram.hpp"
#include "engine/replay/kernel.hpp"

namespace memtool::graph {

// Lengths of time windows in nanoseconds. For each length, the smallest share that the program had of any window is
// reported.
inline constexpr std::uint64_t kWindows[] = {
    100'000,    200'000,     500'000,     1'000'000,   2'000'000,    5'000'000,    10'000'000,   20'000'000,
    50'000'000, 100'000'000, 200'000'000, 500'000'000, 1000'000'000, 2000'000'000, 5000'000'000, 10'000'000'000};
inline constexpr std::size_t kWindowCount = sizeof kWindows / sizeof *kWindows;

// results.py declares the same structures. ~0: not applicable.
struct CheckFigures {
  std::uint64_t checks;
  std::uint64_t surviving_objects;
  std::uint64_t surviving_size;
  std::uint64_t floating_bytes;     // the largest amount of unreachable bytes that a collection left
  std::uint64_t unreclaimed_bytes;  // the unreachable bytes that the last collection left
};
inline constexpr std::size_t kCourse = 2048;
struct CoursePause {
  std::uint64_t begin;  // in ticks since the beginning of the replay
  std::uint64_t ticks;
  std::uint64_t cause;
  std::uint64_t processor_ns;
};
struct PauseFigures {
  std::uint64_t pauses;
  std::uint64_t maximum;      // in ticks
  std::uint64_t pause_ticks;  // sum over all pauses
  std::uint64_t overtaken;    // pauses for the rest of a collection, because memory was exhausted
  std::uint64_t elapsed_ticks;
  std::uint64_t utilisation[kWindowCount];  // in millionths
  std::uint64_t replay_ns;                  // processor time
  std::uint64_t paused_ns;                  // the part of it in pauses
  std::uint64_t guarded_ns;                 // of a replay on a heap that is never full
  std::uint64_t unguarded_ns;               // of one without barriers
  std::uint64_t mutator_ns;                 // of one on objects whose places are known in advance
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
  std::uint64_t most_work;  // of an increment between two checks of the clock: references, objects and blocks
  std::uint64_t peak_footprint_bytes;
  std::uint64_t peak_resident_bytes;
};
// The contents of the heap, with the bytes of each bucket by age: parts of the used bytes, and dead bytes.
enum Age : std::size_t {
  kOnce,      // used: has survived one collection
  kMore,      // used: has survived several
  kDead,      // dead: allocated since the last collection
  kDeadKept,  // dead: the last collection left it
  kAges
};
struct GraphMap {
  HeapMap map;
  std::uint64_t has_ages;  // only collectors know ages
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
