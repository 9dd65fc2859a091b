// What the latency pass records besides the histograms of each kind: latency by size, latency over the run, and
// arrivals.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "engine/abi/capi.h"
#include "engine/instruments/clock.hpp"
#include "engine/instruments/histogram.hpp"
#include "engine/replay/frame.hpp"

namespace memtool {

// The classes end at 16, 64 and 256 bytes and so on by powers of four; the last has no end. passes/histogram.py
// declares the same classes.
constexpr std::size_t size_class(std::uint64_t size) noexcept {
  const unsigned width = size <= 16 ? 4u : 64u - static_cast<unsigned>(std::countl_zero(size - 1));
  const std::size_t of = (width - 3) / 2;
  return of < MEMTOOL_SIZE_CLASSES ? of : MEMTOOL_SIZE_CLASSES - 1;
}
static_assert(size_class(0) == 0 && size_class(16) == 0 && size_class(17) == 1 && size_class(64) == 1);
static_assert(size_class(65) == 2 && size_class(256 * 1024) == 7 && size_class(256 * 1024 + 1) == 8);

// memtool/passes/latency.py declares the same structure. Offsets and counts are inputs.
struct LatencyFigures {
  std::uint64_t slow_ticks[MEMTOOL_SLOW];  // ascending
  std::uint64_t arrivals;                  // offset of a program for engine/generate/arrivals.hpp; 0: closed loop
  std::uint64_t threads;                   // offset of a ThreadRow for each lane
  // Offset, and number of the first lanes that have `histograms` of their own.
  std::uint64_t thread_histograms;
  std::uint64_t thread_histogram_count;
  Timings timings;
  std::uint64_t schedule_ticks;    // intended start of the last operation; 0: closed loop
  std::uint64_t latest_ticks;      // largest delay of an operation's start behind its intended start
  std::uint64_t end_behind_ticks;  // the same for the last operation
  std::uint64_t maximum[MEMTOOL_HISTOGRAMS];
  std::uint64_t size_maximum[2 * MEMTOOL_SIZE_CLASSES];
  LatencySlice slices[2 * MEMTOOL_SLICES];  // for each slice allocate, then deallocate
  std::uint64_t histograms[MEMTOOL_HISTOGRAMS * Histogram::kBuckets];
  std::uint64_t size_histograms[2 * MEMTOOL_SIZE_CLASSES * Histogram::kBuckets];  // allocate, then deallocate
};

// All in memory that the request provides; nothing here allocates.
class LatencyDetail {
 public:
  enum Operation : std::size_t { kAllocate = MEMTOOL_HISTOGRAM_ALLOCATE, kDeallocate = MEMTOOL_HISTOGRAM_DEALLOCATE };

  LatencyDetail(LatencyFigures& figures, const std::uint64_t* arrivals) noexcept
      : figures_(figures), arrivals_(arrivals) {}

  // `start`: the beginning of the replay's body, from which intended starts count.
  void begin_replay(std::uint64_t start) noexcept {
    next_ = 0;
    skipped_ = 0;
    origin_ = start;
  }
  void begin_slice(std::size_t slice) noexcept { slice_ = figures_.slices + slice * 2; }
  void end_replay() noexcept {
    if (late_ > figures_.end_behind_ticks) figures_.end_behind_ticks = late_;
  }

  // Records an operation once; add_to() builds the histogram of its kind from those of its sizes.
  [[gnu::always_inline]] void record(Operation operation, std::uint64_t size, std::uint64_t ticks) noexcept {
    const std::size_t row = operation * MEMTOOL_SIZE_CLASSES + size_class(size);
    ++figures_.size_histograms[row * Histogram::kBuckets + Histogram::bucket(ticks)];
    std::uint64_t& maximum = figures_.size_maximum[row];
    if (ticks > maximum) maximum = ticks;
    record_place(operation, ticks);
  }
  // Records the place in the run of an operation without a size.
  [[gnu::always_inline]] void record_place(Operation operation, std::uint64_t ticks) noexcept {
    LatencySlice& now = slice_[operation];
    if (ticks > now.maximum) now.maximum = ticks;
    for (std::size_t i = 0; i < MEMTOOL_SLOW && ticks >= figures_.slow_ticks[i]; ++i) ++now.slow[i];
  }
  // Adds the latencies by size to the histograms and maxima over all sizes.
  void add_to(std::uint64_t* histograms, std::uint64_t* maxima) const noexcept {
    for (std::size_t row = 0; row < std::size(figures_.size_maximum); ++row) {
      const std::size_t kind = row / MEMTOOL_SIZE_CLASSES;
      const std::uint64_t* own = figures_.size_histograms + row * Histogram::kBuckets;
      for (std::size_t i = 0; i < Histogram::kBuckets; ++i) histograms[kind * Histogram::kBuckets + i] += own[i];
      maxima[kind] = std::max(maxima[kind], figures_.size_maximum[row]);
    }
  }

  // Open loop: every operation of the workload has its time, even if a strategy is not called for it at the end of a
  // scope.
  [[nodiscard]] bool open_loop() const noexcept { return arrivals_ != nullptr; }
  void skip() noexcept { ++skipped_; }
  // Waits for the intended start of the next operation and returns it. The latency counts from there, however late it
  // is.
  std::uint64_t wait(const Clock& clock) noexcept {
    const std::uint64_t due = origin_ + arrivals_[next_];
    next_ += skipped_ == 0 ? 1 : skipped_;
    skipped_ = 0;
    std::uint64_t now = clock.start();
    while (now < due) now = clock.start();
    late_ = now - due;
    if (late_ > figures_.latest_ticks) figures_.latest_ticks = late_;
    return due;
  }

 private:
  LatencyFigures& figures_;
  const std::uint64_t* arrivals_;
  LatencySlice* slice_ = nullptr;
  std::uint64_t origin_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t late_ = 0;
};

}  // namespace memtool
