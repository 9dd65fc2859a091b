// What is measured during a replay. Each probe is one pass. engine/replay/replay.hpp describes when its hooks are
// called.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <utility>

#include "allocators/concept/region.hpp"
#include "allocators/concept/touch.hpp"
#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/instruments/clock.hpp"
#include "engine/instruments/histogram.hpp"
#include "engine/passes/latency_detail.hpp"

namespace memtool {

// The writes of a program to an object: to its first byte, again and again. The byte keeps its value, so that a checked
// block keeps its pattern; the cache line changes hands all the same.
[[gnu::always_inline]] inline void write_block(void* block, std::uint64_t times) noexcept {
  auto* byte = static_cast<volatile std::byte*>(block);
  for (std::uint64_t i = 0; i < times; ++i) *byte = *byte;
}

// Hooks that do nothing, and operations that are just run.
class PlainProbe {
 public:
  static constexpr bool kSeesScopes = false;
  // If kSeesScopes: whether the probe wants to see the scopes of this replay.
  static constexpr bool wants_scopes() noexcept { return true; }
  template <class Operation>
  [[gnu::always_inline]] void* allocate(Operation operation) noexcept {
    return operation();
  }
  template <class Operation>
  [[gnu::always_inline]] void* reallocate(Operation operation) noexcept {
    return operation();
  }
  template <class Operation>
  [[gnu::always_inline]] void deallocate(Operation operation) noexcept {
    operation();
  }
  template <class Operation>
  void release(Operation operation) noexcept {
    operation();
  }
  void allocated(std::uint32_t, void*, std::uint64_t, std::size_t, bool) noexcept {}
  void deallocating(std::uint32_t, void*, std::uint64_t) noexcept {}
  void reallocating(std::uint32_t, void*, std::uint64_t) noexcept {}
  void reallocated(std::uint32_t, void*, std::uint64_t, std::uint64_t, std::size_t) noexcept {}
  void moving(void*, std::uint64_t) noexcept {}
  void published(std::uint32_t, std::uint64_t) noexcept {}
  void received(std::uint32_t, std::uint64_t) noexcept {}
  void scope_begins() noexcept {}
  void scope_ends() noexcept {}
  void write(void* block, std::uint64_t times) noexcept { write_block(block, times); }
};

// No timer inside: the whole replay is timed from outside.
template <bool kTouches>
class ThroughputProbe : public PlainProbe {
 public:
  explicit ThroughputProbe(Touch touch) noexcept : touch_(touch) {}
  [[gnu::always_inline]] void allocated(std::uint32_t, void* block, std::uint64_t size, std::size_t, bool) noexcept {
    if constexpr (kTouches) touch_block(touch_, block, size);
  }
  void reallocated(std::uint32_t, void* block, std::uint64_t old_size, std::uint64_t new_size, std::size_t) noexcept {
    if constexpr (kTouches) touch_grown(touch_, block, old_size, new_size);
  }

 private:
  Touch touch_;
};

// Times each operation, and every few operations an empty section. This gives the noise floor under the same conditions
// as the operations with which it is compared.
class LatencyProbe : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;

  // `detail` may be absent.
  LatencyProbe(Touch touch, bool use_counter, std::uint64_t* counts, LatencyDetail* detail = nullptr) noexcept
      : touch_(touch),
        detail_(detail),
        clock_(use_counter),
        allocate_(counts + MEMTOOL_HISTOGRAM_ALLOCATE * Histogram::kBuckets),
        deallocate_(counts + MEMTOOL_HISTOGRAM_DEALLOCATE * Histogram::kBuckets),
        reallocate_(counts + MEMTOOL_HISTOGRAM_REALLOCATE * Histogram::kBuckets),
        first_touch_(counts + MEMTOOL_HISTOGRAM_FIRST_TOUCH * Histogram::kBuckets),
        floor_(counts + MEMTOOL_HISTOGRAM_FLOOR * Histogram::kBuckets),
        remote_deallocate_(counts + MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE * Histogram::kBuckets),
        frame_(counts + MEMTOOL_HISTOGRAM_FRAME * Histogram::kBuckets),
        touch_floor_(counts + MEMTOOL_HISTOGRAM_TOUCH_FLOOR * Histogram::kBuckets) {}

  template <class Operation>
  [[gnu::always_inline]] void* allocate(Operation operation) noexcept {
    start_ = begin();
    void* block = operation();
    end_ = clock_.lap();
    return block;
  }
  template <class Operation>
  [[gnu::always_inline]] void* reallocate(Operation operation) noexcept {
    const std::uint64_t start = begin();
    void* block = operation();
    const std::uint64_t ticks = clock_.lap() - start;
    reallocate_.record(ticks);
    received_ = false;
    finish(ticks);
    return block;
  }
  template <class Operation>
  [[gnu::always_inline]] void deallocate(Operation operation) noexcept {
    const std::uint64_t start = begin();
    operation();
    const std::uint64_t ticks = clock_.lap() - start;
    if (detail_ != nullptr) {
      detail_->record(LatencyDetail::kDeallocate, size_, ticks);
    } else {
      of_frees().record(ticks);
    }
    finish(ticks);
  }
  void received(std::uint32_t, std::uint64_t) noexcept { received_ = true; }
  // A frame is an outermost scope with the frees at its end, which follow it if a strategy has no scopes.
  void scope_begins() noexcept {
    if (depth_++ == 0) {
      end_frame();
      if (overhead_ == 0) overhead_ = empty_regions();
      in_frame_ = true;
    }
  }
  void scope_ends() noexcept { --depth_; }
  // Also called at the end of a replay. With arrivals, latencies contain each other's queueing, so their sum is
  // meaningless.
  void end_frame() noexcept {
    const std::uint64_t overhead = frame_operations_ * overhead_ / kReadings;
    if (in_frame_ && !wants_scopes()) frame_.record(frame_ticks_ > overhead ? frame_ticks_ - overhead : 0);
    in_frame_ = false;
    frame_ticks_ = 0;
    frame_operations_ = 0;
  }
  void write(void* block, std::uint64_t times) noexcept {
    received_ = false;
    write_block(block, times);
  }
  // The end of a scope counts as one operation: a deallocation without a size.
  template <class Operation>
  void release(Operation operation) noexcept {
    const std::uint64_t start = begin();
    operation();
    const std::uint64_t ticks = clock_.lap() - start;
    of_frees().record(ticks);
    if (detail_ != nullptr) detail_->record_place(LatencyDetail::kDeallocate, ticks);
    finish(ticks);
  }
  [[nodiscard]] bool wants_scopes() const noexcept { return detail_ != nullptr && detail_->open_loop(); }
  void deallocating(std::uint32_t, void*, std::uint64_t size) noexcept {
    size_ = size;
    if (wants_scopes()) detail_->skip();
  }
  // First writes the block, timed from the reading that ended its allocation, and then records both.
  [[gnu::always_inline]] void allocated(std::uint32_t, void* block, std::uint64_t size, std::size_t, bool) noexcept {
    if (touch_ != Touch::none) {
      touch_block(touch_, block, size);
      first_touch_.record(clock_.lap() - end_);
    }
    const std::uint64_t ticks = end_ - start_;
    if (detail_ != nullptr) {
      detail_->record(LatencyDetail::kAllocate, size, ticks);
    } else {
      allocate_.record(ticks);
    }
    finish(ticks);
  }
  // The part by which a block has grown is written too. Otherwise the next resize would copy pages that the kernel has
  // not yet provided.
  void reallocated(std::uint32_t, void* block, std::uint64_t old_size, std::uint64_t new_size, std::size_t) noexcept {
    touch_grown(touch_, block, old_size, new_size);
  }

  void write_maxima(std::uint64_t* maxima) const noexcept {
    maxima[MEMTOOL_HISTOGRAM_ALLOCATE] = allocate_.maximum();
    maxima[MEMTOOL_HISTOGRAM_DEALLOCATE] = deallocate_.maximum();
    maxima[MEMTOOL_HISTOGRAM_REALLOCATE] = reallocate_.maximum();
    maxima[MEMTOOL_HISTOGRAM_FIRST_TOUCH] = first_touch_.maximum();
    maxima[MEMTOOL_HISTOGRAM_FLOOR] = floor_.maximum();
    maxima[MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE] = remote_deallocate_.maximum();
    maxima[MEMTOOL_HISTOGRAM_FRAME] = frame_.maximum();
    maxima[MEMTOOL_HISTOGRAM_TOUCH_FLOOR] = touch_floor_.maximum();
  }

 private:
  // An odd number, so that the slices do not keep step with a workload that repeats every 2^k operations.
  static constexpr unsigned kFloorEvery = 13;

  [[nodiscard, gnu::always_inline]] std::uint64_t begin() noexcept {
    return wants_scopes() ? detail_->wait(clock_) : clock_.start();
  }

  [[nodiscard]] Histogram& of_frees() noexcept {
    return std::exchange(received_, false) ? remote_deallocate_ : deallocate_;
  }

  [[gnu::always_inline]] void finish(std::uint64_t ticks) noexcept {
    frame_ticks_ += ticks;
    ++frame_operations_;
    if (++since_floor_ == kFloorEvery) {
      since_floor_ = 0;
      read_floor();
    }
  }
  [[gnu::always_inline]] void read_floor() noexcept {
    const std::uint64_t start = clock_.start();
    asm volatile("" ::: "memory");
    const std::uint64_t end = clock_.lap();
    floor_.record(end - start);
    if (touch_ == Touch::none) return;
    // The first touch is timed between two readings of the other kind.
    const std::uint64_t before = clock_.lap();
    asm volatile("" ::: "memory");
    touch_floor_.record(clock_.lap() - before);
  }

  // Ticks of kReadings empty timed sections together, which are subtracted from the hundreds of operations of a frame.
  // If a counter moves in steps, a mean is right, while a median may be off by a step. The longest tenth is left out as
  // disturbance of the machine.
  static constexpr std::size_t kReadings = 900;
  [[nodiscard]] std::uint64_t empty_regions() const noexcept {
    std::array<std::uint64_t, kReadings + kReadings / 9> readings{};
    for (std::uint64_t& reading : readings) {
      const std::uint64_t start = clock_.start();
      asm volatile("" ::: "memory");
      reading = clock_.lap() - start;
    }
    std::ranges::sort(readings);
    return std::accumulate(readings.begin(), readings.begin() + kReadings, std::uint64_t{0});
  }

  Touch touch_;
  LatencyDetail* detail_;
  std::uint64_t start_ = 0, end_ = 0;  // of the current allocation
  std::uint64_t size_ = 0;             // of the block being freed
  Clock clock_;
  unsigned since_floor_ = 0;
  Histogram allocate_, deallocate_, reallocate_, first_touch_, floor_, remote_deallocate_, frame_, touch_floor_;
  std::uint64_t overhead_ = 0;          // ticks of kReadings empty timed sections
  std::uint64_t frame_ticks_ = 0;       // of the operations of the current frame
  std::uint64_t frame_operations_ = 0;  // number of operations of the current frame
  std::uint64_t depth_ = 0;             // number of open scopes
  bool in_frame_ = false;
  bool received_ = false;  // the object of the next event came from another thread
};

// memtool/passes/footprint.py declares the same structure and describes it.
struct FootprintFigures {
  std::uint64_t checkpoints;  // input
  std::uint64_t series;       // offset of checkpoints + 2 rows
  std::uint64_t rows;         // number of rows of the series that were written
  std::uint64_t peak_live_bytes;
  std::uint64_t peak_granted_bytes;
  std::uint64_t peak_footprint_bytes;
  std::uint64_t live_at_peak_footprint_bytes;
  std::uint64_t granted_at_peak_live_bytes;
  std::uint64_t footprint_at_peak_live_bytes;
  std::uint64_t ratio_allocations;
  double ratio_sum;
  std::uint64_t baseline_resident_bytes;
  std::uint64_t resident_at_peak_live_bytes;  // exact (smaps_rollup)
  std::uint64_t peak_resident_bytes;          // the larger of the values read and of the kernel's maximum
  std::uint64_t end_resident_bytes;           // exact, after the last event before the epilogue
  std::uint64_t drained_resident_bytes;       // exact, after the epilogue
  std::uint64_t huge_resident_bytes;
  std::uint64_t beside_limit_bytes;
  std::uint64_t minor_faults;
  std::uint64_t major_faults;
  std::uint64_t grow_calls;
  std::uint64_t shrink_calls;
  std::uint64_t body_ticks;
  CheckpointRow at_peak_live;
  CheckpointRow drained;
  CheckpointRow at_mark[MEMTOOL_MOST_MAPS];  // indexed by the marks' numbers; on one thread
  RegionAccount region;
  char report[MEMTOOL_REPORT_BYTES];  // the reports of the adaptors, as members of a JSON object
};

// Tracks live and granted bytes at every event, and the peak of the footprint. stats() and the resident set are read
// from outside, at checkpoints.
template <class S>
class FootprintProbe : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;
  // Below this a ratio of footprint to live bytes says nothing about the strategy.
  static constexpr std::uint64_t kLeastLive = 64 * 1024;

  FootprintProbe(Touch touch, const S& strategy, const Region& region, FootprintFigures& figures) noexcept
      : touch_(touch), strategy_(strategy), region_(region), figures_(figures) {}

  void allocated(std::uint32_t, void* block, std::uint64_t size, std::size_t, bool) noexcept {
    touch_block(touch_, block, size);
    ++operations_;
    ++objects_;
    add(block, size);
  }
  void deallocating(std::uint32_t, void* block, std::uint64_t size) noexcept {
    ++operations_;
    --objects_;
    remove(block, size);
  }
  void reallocating(std::uint32_t, void* block, std::uint64_t size) noexcept { remove(block, size); }
  // As in std::vector::resize(): the new block is written before the old one is freed, so both are resident at once.
  void moving(void* block, std::uint64_t size) noexcept { touch_block(touch_, block, size); }
  void reallocated(std::uint32_t, void* block, std::uint64_t, std::uint64_t size, std::size_t) noexcept {
    touch_block(touch_, block, size);
    ++operations_;
    add(block, size);
  }

  // From here on figures count, starting from the heap as it is now.
  void begin() noexcept {
    operations_ = 0;
    most_live_ = live_;
    figures_.peak_live_bytes = live_;
    figures_.granted_at_peak_live_bytes = figures_.peak_granted_bytes = granted_;
    figures_.footprint_at_peak_live_bytes = figures_.peak_footprint_bytes = region_.footprint();
    figures_.live_at_peak_footprint_bytes = live_;
    figures_.ratio_allocations = 0;
    figures_.ratio_sum = 0;
  }

  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  [[nodiscard]] std::uint64_t objects() const noexcept { return objects_; }
  [[nodiscard]] std::uint64_t live() const noexcept { return live_; }
  [[nodiscard]] std::uint64_t granted() const noexcept { return granted_; }
  // The maximum of live bytes since the last call.
  [[nodiscard]] std::uint64_t take_most_live() noexcept { return std::exchange(most_live_, live_); }

 private:
  void add(void* block, std::uint64_t size) noexcept {
    live_ += size;
    if (live_ > most_live_) most_live_ = live_;
    granted_ += strategy_.usable_size(block, size);
    const std::uint64_t footprint = region_.footprint();
    if (live_ > figures_.peak_live_bytes) {
      figures_.peak_live_bytes = live_;
      figures_.granted_at_peak_live_bytes = granted_;
      figures_.footprint_at_peak_live_bytes = footprint;
    }
    if (granted_ > figures_.peak_granted_bytes) figures_.peak_granted_bytes = granted_;
    // Includes memory used in the middle of this operation, or of a deallocation since the last one.
    const std::uint64_t most = footprint + (region_.peak() - region_.used());
    if (most > figures_.peak_footprint_bytes) {
      figures_.peak_footprint_bytes = most;
      figures_.live_at_peak_footprint_bytes = live_;
    }
    if (live_ >= kLeastLive) {
      ++figures_.ratio_allocations;
      figures_.ratio_sum += static_cast<double>(footprint) / static_cast<double>(live_);
    }
  }
  void remove(const void* block, std::uint64_t size) noexcept {
    live_ -= size;
    granted_ -= strategy_.usable_size(block, size);
  }

  Touch touch_;
  const S& strategy_;
  const Region& region_;
  FootprintFigures& figures_;
  std::uint64_t operations_ = 0;
  std::uint64_t objects_ = 0;
  std::uint64_t live_ = 0;
  std::uint64_t granted_ = 0;
  std::uint64_t most_live_ = 0;
};

}  // namespace memtool
