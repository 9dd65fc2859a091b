// What the passes share, on one thread and on several.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "engine/abi/capi.h"
#include "engine/instruments/resident.hpp"
#include "engine/passes/check_probe.hpp"
#include "engine/passes/probes.hpp"
#include "engine/passes/truth.hpp"
#include "engine/replay/replay.hpp"

namespace memtool {

[[gnu::format(printf, 3, 4)]] inline void fail(ReplayResult& result, std::uint32_t status, const char* format, ...) {
  result.status = status;
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(result.message, sizeof result.message, format, arguments);
  va_end(arguments);
}

inline unsigned long long as_printed(std::uint64_t value) noexcept {
  return value;
}

// Faults in the head of the region, and locks it there, as the region asks. Counted as resident from the start, for it
// is.
inline bool populate_region(const ReplayRequest& request, ReplayResult& result) {
  constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14; absent from older headers
  if (request.populate_bytes == 0) return true;
  if (madvise(request.region, request.populate_bytes, kPopulateWrite) != 0) {
    fail(result, MEMTOOL_BAD_REQUEST, "the region cannot be populated: %s", std::strerror(errno));
    return false;
  }
  if ((request.region_flags & MEMTOOL_REGION_LOCKED) != 0 && mlock(request.region, request.populate_bytes) != 0) {
    fail(result, MEMTOOL_BAD_REQUEST, "the region cannot be locked: %s", std::strerror(errno));
    return false;
  }
  return true;
}

// How many bytes an event asks for, and how many it gives back.
struct Change {
  std::uint64_t asked = 0;
  std::uint64_t freed = 0;
};
inline Change change_of(const std::uint64_t* word) noexcept {
  switch (word::kind(*word)) {
    case Kind::allocate:
    case Kind::allocate_zeroed:
      return {.asked = word::size(*word)};
    case Kind::allocate_wide:
    case Kind::allocate_zeroed_wide:
      return {.asked = word::wide_size(word[1])};
    case Kind::deallocate:
      return {.freed = word::size(*word)};
    case Kind::deallocate_wide:
      return {.freed = word::wide_size(word[1])};
    case Kind::reallocate:
      return {.asked = word::wide_size(word[1]), .freed = word[2]};
    default:
      return {};
  }
}

// How a heap stood at the moment at which it could not serve.
struct HeapState {
  HeapStats stats;
  std::uint64_t used = 0;  // of the region, bytes
};
template <class S>
HeapState state_of(const S& strategy, const Region& region) {
  return {.stats = strategy.stats(), .used = region.used()};
}

// What lived, as `live` says, what was free, and the largest hole, where the heap knows.
inline std::string state_in_words(const std::string& live, const HeapState& state, const Region& region,
                                  bool on_region) {
  std::string words = ": " + live;
  if (!on_region) return words;
  words += ", " + std::to_string(state.used) + " of " + std::to_string(region.capacity()) + " bytes taken";
  const auto add = [&](const char* before, std::uint64_t bytes, const char* after) {
    if (bytes != kNotApplicable) words += before + std::to_string(bytes) + after;
  };
  add(", ", state.stats.free_bytes, " of them free");
  add(", the largest hole ", state.stats.largest_free, "");
  return words;
}

inline std::uint64_t above(std::uint64_t value, std::uint64_t baseline) noexcept {
  return value > baseline ? value - baseline : 0;
}

// Whether a heap that is made of `given` lives on the region.
template <class S, class Given>
bool is_on_region(const Given& given) {
  if constexpr (Strategy<S>) {
    return uses_region<S>(given);
  } else {
    return given.info().uses_region;
  }
}

// Whether adaptors have found misuse: then the sample has failed, with their words.
template <class S>
bool has_detected(const S& strategy, ReplayResult& result) {
  if constexpr (Watches<S>) {
    if (strategy.finding().empty()) return false;
    fail(result, MEMTOOL_WRONG, "%s", strategy.finding().c_str());
    return true;
  }
  return false;
}

// Tells a heap that may resize blocks by a copy of its own what the program writes: see AnyHeap.
template <class S>
void write_when_moved(S& strategy, Touch touch) {
  if constexpr (requires { strategy.write_when_moved(touch, 0); }) strategy.write_when_moved(touch, 0);
}

// Asking the kernel takes two microseconds with what it does to the caches, more than all else at a checkpoint: once in
// 25,000 operations, which take some 400, and 40 times at least. The series says n/a elsewhere.
inline std::uint64_t checkpoints_to_a_resident_reading(std::uint64_t checkpoints, std::uint64_t operations) noexcept {
  return 1 + checkpoints / (std::max<std::uint64_t>(operations / 25'000, 40) + 1);
}

// What the kernel remembers costs three times as much: this many times in a run, and at its end.
inline constexpr std::uint64_t kPeakReadings = 8;

// `resident`: bytes, less the baseline.
template <class S>
CheckpointRow checkpoint_row(const HeapStats& stats, const Region& region, bool on_region,
                             const FootprintProbe<S>& probe, std::uint64_t resident) noexcept {
  return {.clock = probe.operations(),
          .live_bytes = probe.live(),
          .live_objects = probe.objects(),
          .granted_bytes = probe.granted(),
          .footprint_bytes = on_region ? region.used() + stats.metadata_apart_bytes : kNotApplicable,
          .resident_bytes = resident,
          .free_bytes = stats.free_bytes,
          .largest_free = stats.largest_free,
          .free_blocks = stats.free_blocks,
          .used_blocks = stats.used_blocks,
          .metadata_bytes = stats.metadata_bytes,
          .most_live_bytes = probe.live(),
          .most_footprint_bytes = on_region ? region.used() + stats.metadata_apart_bytes : kNotApplicable,
          .most_resident_bytes = kNotApplicable};
}

// Adds to a row of the series what was most since the row before it.
template <class S>
void note_most(CheckpointRow& row, FootprintProbe<S>& probe, Region& region, ReplayResult& result) noexcept {
  row.most_live_bytes = probe.take_most_live();
  if (row.footprint_bytes == kNotApplicable) return;
  const std::uint64_t apart = row.footprint_bytes - region.used();
  const std::uint64_t budgeted = std::min<std::uint64_t>(region.budgeted_apart(), apart);
  result.beside_limit_bytes = std::max(result.beside_limit_bytes, apart - budgeted);
  row.most_footprint_bytes = region.take_peak() + apart;
  // Tables of adaptors are known at checkpoints only.
  if (row.most_footprint_bytes > result.peak_footprint_bytes) {
    result.peak_footprint_bytes = row.most_footprint_bytes;
    result.live_at_peak_footprint_bytes = row.live_bytes;
  }
}

// At the end: between two checkpoints usable_size() may have said what cannot be.
inline void fail_if_overgranted(ReplayResult& result, bool on_region) {
  const std::string lie = why_not_granted(result.peak_granted_bytes, result.peak_live_bytes,
                                          on_region ? result.peak_footprint_bytes : kNotApplicable);
  if (!lie.empty()) fail(result, MEMTOOL_WRONG, "%s", lie.c_str());
}

inline void report_survivors(const CheckBook::Summary& summary, ReplayResult& result) noexcept {
  result.surviving_objects = summary.live_objects;
  result.surviving_size = summary.live_bytes;
  result.surviving_digest = summary.live_digest;
}

}  // namespace memtool
