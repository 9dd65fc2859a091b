// The footprint pass: live, granted, taken and resident bytes at checkpoints. Nothing is timed.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <optional>
#include <string>

#include "engine/instruments/resident.hpp"
#include "engine/passes/marks.hpp"
#include "engine/passes/probes.hpp"
#include "engine/passes/truth.hpp"
#include "engine/replay/serial.hpp"
#include "engine/replay/threaded.hpp"

namespace memtool {

// Tells a heap that may copy a block to resize it how the program writes to blocks; see AnyHeap.
template <class S>
void write_when_moved(S& strategy, Touch touch) {
  if constexpr (requires { strategy.write_when_moved(touch, 0); }) strategy.write_when_moved(touch, 0);
}

// A query of the kernel costs two microseconds, more than everything else at a checkpoint. So there is one in 25,000
// operations (about 400 microseconds), and at least 40 in total. At the other checkpoints the series shows n/a.
inline std::uint64_t checkpoints_to_a_resident_reading(std::uint64_t checkpoints, std::uint64_t operations) noexcept {
  return 1 + checkpoints / (std::max<std::uint64_t>(operations / 25'000, 40) + 1);
}

// Reading the kernel's maximum costs three times as much: it is read this many times during a run, and at its end.
inline constexpr std::uint64_t kPeakReadings = 8;

// `resident`: in bytes, less the baseline.
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

// Adds the maximum of each figure since the previous row to a row of the series.
template <class S>
void note_most(CheckpointRow& row, FootprintProbe<S>& probe, Region& region, FootprintFigures& figures) noexcept {
  row.most_live_bytes = probe.take_most_live();
  if (row.footprint_bytes == kNotApplicable) return;
  const std::uint64_t apart = row.footprint_bytes - region.used();
  const std::uint64_t budgeted = std::min<std::uint64_t>(region.budgeted_apart(), apart);
  figures.beside_limit_bytes = std::max(figures.beside_limit_bytes, apart - budgeted);
  row.most_footprint_bytes = region.take_peak() + apart;
  // The tables of adaptors are known only at checkpoints.
  if (row.most_footprint_bytes > figures.peak_footprint_bytes) {
    figures.peak_footprint_bytes = row.most_footprint_bytes;
    figures.live_at_peak_footprint_bytes = row.live_bytes;
  }
}

// For the end of the replay: between two checkpoints, usable_size() may have returned an impossible value.
inline void fail_if_overgranted(const FootprintFigures& figures, bool on_region, ReplayResult& result) {
  const std::string lie = why_not_granted(figures.peak_granted_bytes, figures.peak_live_bytes,
                                          on_region ? figures.peak_footprint_bytes : kNotApplicable);
  if (!lie.empty()) fail(result, MEMTOOL_WRONG, "%s", lie.c_str());
}

// The readings of the process: before the heap exists, at the peak of live bytes, and before the epilogue.
struct ProcessReadings {
  explicit ProcessReadings(const ReplayRequest& request)
      : resident(request.region, request.region_bytes, (request.region_flags & MEMTOOL_REGION_SHARED) != 0) {}

  // Everything that belongs to the harness must exist before: memory that is resident before the heap exists is not the
  // heap's.
  void begin(FootprintFigures& figures) noexcept {
    (void)resident.exact();  // faults in what the reading itself needs
    resident.begin_peak();
    baseline = resident.exact().bytes;
    rough_baseline = resident.approximate();
    figures.baseline_resident_bytes = baseline;
  }
  void begin_faults(const Region& region) noexcept {
    grown_before = region.grow_calls();
    shrunk_before = region.shrink_calls();
    getrusage(RUSAGE_SELF, &before);
  }
  void at_peak(FootprintFigures& figures) noexcept {
    const auto exact = resident.exact();
    figures.resident_at_peak_live_bytes = above(exact.bytes, baseline);
    figures.huge_resident_bytes = exact.huge;
    figures.region = resident.of_region();
    figures.peak_resident_bytes = std::max(figures.peak_resident_bytes, figures.resident_at_peak_live_bytes);
  }
  template <class S>
  void end_body(const S& strategy, const Region& region, FootprintFigures& figures) noexcept {
    rusage after;
    getrusage(RUSAGE_SELF, &after);
    figures.minor_faults = static_cast<std::uint64_t>(after.ru_minflt - before.ru_minflt);
    figures.major_faults = static_cast<std::uint64_t>(after.ru_majflt - before.ru_majflt);
    figures.grow_calls = region.grow_calls() - grown_before;
    figures.shrink_calls = region.shrink_calls() - shrunk_before;
    figures.end_resident_bytes = above(resident.exact().bytes, baseline);
    figures.peak_resident_bytes = std::max(figures.peak_resident_bytes, figures.end_resident_bytes);
    if constexpr (Watches<S>) std::snprintf(figures.report, sizeof figures.report, "%s", strategy.report().c_str());
  }

  Resident resident;
  std::uint64_t baseline = 0;
  std::uint64_t rough_baseline = 0;
  std::uint64_t grown_before = 0;
  std::uint64_t shrunk_before = 0;
  rusage before{};
};

// The checkpoints of a replay on one thread.
template <class S, class Given>
class SerialAccount {
 public:
  SerialAccount(Serial<S, Given>& replayed, ProcessReadings& readings)
      : replayed_(replayed),
        figures_(replayed.template figures<FootprintFigures>()),
        readings_(readings),
        strategy_(replayed.region, replayed.given),
        probe_(replayed.image.touch(), strategy_, replayed.region, figures_),
        replay_(strategy_, probe_, replayed.slots.data(), {&replayed.pacer}),
        window_before_(replayed.window.cost()),
        at_(replayed.image.begin),
        mark_(next_mark(replayed.image, replayed.image.begin)) {
    write_when_moved(strategy_, replayed.image.touch());
  }

  // Returns false if the sample has failed.
  bool run_body() {
    const Image& image = replayed_.image;
    const std::uint64_t checkpoints = figures_.checkpoints;
    const std::uint64_t* peak = image.begin + image.head.peak_live_word;
    const auto words = static_cast<std::uint64_t>(image.epilogue - image.body);
    bool peak_seen = false;
    if (image.body != image.begin && !warm()) return false;
    replayed_.pacer.begin(Clock(replayed_.request.use_counter != 0).start());
    for (std::uint64_t i = 0; i <= checkpoints; ++i) {
      const std::uint64_t* stop = image.body + words * i / std::max<std::uint64_t>(checkpoints, 1);
      if (!peak_seen && peak <= stop) {
        if (!run_to(peak)) return false;
        peak_seen = true;
        readings_.at_peak(figures_);
        if (!note(figures_.resident_at_peak_live_bytes, figures_.at_peak_live)) return false;
      }
      if (!run_to(stop) || !checkpoint(i, checkpoints)) return false;
    }
    return true;
  }

  void run_epilogue() {
    readings_.end_body(strategy_, replayed_.region, figures_);
    // Pages of the image that were read meanwhile do not belong to the allocator.
    const ImageWindow::Cost& image = replayed_.window.cost();
    figures_.minor_faults -= std::min(figures_.minor_faults, image.minor_faults - window_before_.minor_faults);
    figures_.major_faults -= std::min(figures_.major_faults, image.major_faults - window_before_.major_faults);
    replayed_.run(replay_, at_, replayed_.image.end);
    if (replayed_.detected_in(strategy_)) return;
    figures_.drained_resident_bytes = above(readings_.resident.exact().bytes, readings_.baseline);
    if (note(figures_.drained_resident_bytes, figures_.drained))
      fail_if_overgranted(figures_, replayed_.on_region(), replayed_.result);
  }

 private:
  // Replays the warm-up. The figures begin with the heap in the state that it leaves.
  bool warm() {
    if (!run_to(replayed_.image.body)) return false;
    probe_.begin();
    figures_.peak_resident_bytes = 0;
    (void)replayed_.region.take_peak();
    (void)readings_.resident.take_peak();
    readings_.begin_faults(replayed_.region);
    window_before_ = replayed_.window.cost();
    return true;
  }

  bool run_to(const std::uint64_t* stop) {
    for (; mark_.at < stop; mark_ = next_mark(replayed_.image, mark_.at + 1)) {
      at_ = replayed_.run(replay_, at_, mark_.at);
      if (replay_.out_of_memory()) break;
      if (mark_.moment < MEMTOOL_MOST_MAPS) figures_.at_mark[mark_.moment] = row_of(strategy_.stats(), kNotApplicable);
    }
    if (!replay_.out_of_memory()) at_ = replayed_.run(replay_, at_, stop);
    if (!replay_.out_of_memory()) return true;
    replayed_.out_of_memory(strategy_, at_);
    return false;
  }

  bool checkpoint(std::uint64_t i, std::uint64_t checkpoints) {
    const std::uint64_t resident_every =
        checkpoints_to_a_resident_reading(checkpoints, replayed_.image.head.operations);
    const std::uint64_t peak_every = std::max<std::uint64_t>(checkpoints / kPeakReadings, 1);
    std::uint64_t now = kNotApplicable;
    if (i % resident_every == 0 || i == checkpoints) {
      now = above(readings_.resident.approximate(), readings_.rough_baseline);
      figures_.peak_resident_bytes = std::max(figures_.peak_resident_bytes, now);
    }
    CheckpointRow& row = replayed_.template part<CheckpointRow>(figures_.series)[figures_.rows++];
    if (!note(now, row)) return false;
    note_most(row, probe_, replayed_.region, figures_);
    if ((i > 0 && i % peak_every == 0) || i == checkpoints) {
      row.most_resident_bytes = readings_.resident.take_peak();
      figures_.peak_resident_bytes = std::max(figures_.peak_resident_bytes, row.most_resident_bytes);
    }
    return true;
  }

  // Fills in a checkpoint. If its figures are inconsistent, the sample fails with a message, and the result is false.
  bool note(std::uint64_t resident, CheckpointRow& row) {
    const HeapStats stats = strategy_.stats();
    row = row_of(stats, resident);
    std::string lie = why_untrue(stats, row.live_bytes, replayed_.region.used());
    if (lie.empty()) lie = why_not_granted(row.granted_bytes, row.live_bytes, row.footprint_bytes);
    if (lie.empty()) return true;
    replayed_.result.failed_operation = row.clock;
    fail(replayed_.result, MEMTOOL_WRONG, "after %llu operations: %s", as_printed(row.clock), lie.c_str());
    return false;
  }
  CheckpointRow row_of(const HeapStats& stats, std::uint64_t resident) const noexcept {
    return checkpoint_row(stats, replayed_.region, replayed_.on_region(), probe_, resident);
  }

  Serial<S, Given>& replayed_;
  FootprintFigures& figures_;
  ProcessReadings& readings_;
  S strategy_;
  FootprintProbe<S> probe_;
  Replay<S, FootprintProbe<S>> replay_;
  ImageWindow::Cost window_before_;
  const std::uint64_t* at_;
  MapStop mark_;
};

template <class S, class Given>
void footprint(Serial<S, Given>& replayed) {
  auto& figures = replayed.template figures<FootprintFigures>();
  ProcessReadings readings(replayed.request);
  replayed.region.reset();
  if (!replayed.window.is_whole()) replayed.window.show(replayed.image.begin);
  readings.begin(figures);
  if (!replayed.populate()) return;
  readings.begin_faults(replayed.region);
  const Clock clock(replayed.request.use_counter != 0);
  const std::uint64_t idle = replayed.idle_ticks();
  const std::uint64_t start = clock.start();
  SerialAccount<S, Given> account(replayed, readings);
  if (!account.run_body()) return;
  figures.body_ticks =
      clock.stop() - start -
      (replayed.idle_ticks() - idle);  // the cost of the checkpoints; part of no metric (benchmarks/run.py reads it)
  account.run_epilogue();
}

// The footprint pass on several threads. They share one account, which each enters in turn. Nothing is timed here.
template <class S>
class SharedFootprint {
 public:
  // `every`: number of operations between two checkpoints.
  SharedFootprint(FootprintProbe<S>& probe, std::uint64_t every, std::uint64_t peak_operation)
      : probe_(probe), every_(every), peak_operation_(peak_operation) {}
  virtual ~SharedFootprint() = default;

  // From here on there are checkpoints, and operations count from 0.
  void begin() noexcept {
    next_ = every_;
    if (peak_operation_ == 0) at_peak();
  }

  template <class Entry>
  void enter(Entry entry) noexcept {
    const std::scoped_lock lock(mutex_);
    entry(probe_);
    if (next_ == kNever) return;
    if (probe_.operations() == peak_operation_) at_peak();
    if (probe_.operations() < next_) return;
    next_ += every_;
    checkpoint();
  }
  [[nodiscard]] std::uint64_t live_bytes() noexcept {
    const std::scoped_lock lock(mutex_);
    return probe_.live();
  }

 protected:
  virtual void checkpoint() noexcept = 0;
  virtual void at_peak() noexcept = 0;
  FootprintProbe<S>& probe_;

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};
  std::mutex mutex_;
  std::uint64_t every_;
  std::uint64_t next_ = kNever;
  std::uint64_t peak_operation_;
};

template <class S>
class LaneFootprintProbe : public PlainProbe {
 public:
  explicit LaneFootprintProbe(SharedFootprint<S>& account) noexcept : account_(account) {}
  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t alignment, bool zeroed) noexcept {
    account_.enter([&](auto& probe) { probe.allocated(slot, block, size, alignment, zeroed); });
  }
  void deallocating(std::uint32_t slot, void* block, std::uint64_t size) noexcept {
    account_.enter([&](auto& probe) { probe.deallocating(slot, block, size); });
  }
  void reallocating(std::uint32_t slot, void* block, std::uint64_t size) noexcept {
    account_.enter([&](auto& probe) { probe.reallocating(slot, block, size); });
  }
  void moving(void* block, std::uint64_t size) noexcept {
    account_.enter([&](auto& probe) { probe.moving(block, size); });
  }
  void reallocated(std::uint32_t slot, void* block, std::uint64_t old_size, std::uint64_t new_size,
                   std::size_t alignment) noexcept {
    account_.enter([&](auto& probe) { probe.reallocated(slot, block, old_size, new_size, alignment); });
  }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept { return account_.live_bytes(); }

 private:
  SharedFootprint<S>& account_;
};

// In lockstep the trace determines the moment of the peak of live bytes. In parallel it is unknown, so the checkpoint
// with the most live bytes stands for it.
template <class S>
class SharedAccount : public SharedFootprint<S> {
 public:
  SharedAccount(FootprintProbe<S>& probe, const S& strategy, Region& region, const ReplayRequest& request,
                FootprintFigures& figures, CheckpointRow* series, const ThreadImage& image, ProcessReadings& readings,
                bool on_region)
      : SharedFootprint<S>(probe, image.head.operations / std::max<std::uint64_t>(1, figures.checkpoints) + 1,
                           request.mode == MEMTOOL_LOCKSTEP ? image.head.peak_operation : ~std::uint64_t{0}),
        strategy_(strategy),
        region_(region),
        mode_(request.mode),
        figures_(figures),
        series_(series),
        readings_(readings),
        on_region_(on_region) {
    if (image.head.warm_lanes == 0) this->begin();
  }

  // The events before only warmed the heap.
  void body_began() noexcept {
    this->probe_.begin();
    figures_.peak_resident_bytes = 0;
    (void)region_.take_peak();
    (void)readings_.resident.take_peak();
    readings_.begin_faults(region_);
    this->begin();
  }

  void body_ended() noexcept {
    readings_.end_body(strategy_, region_, figures_);
    if (mode_ == MEMTOOL_PARALLEL) figures_.region = readings_.resident.of_region();
    if (figures_.rows == 0 || series_[figures_.rows - 1].clock != this->probe_.operations()) checkpoint();
    take_peak(series_[figures_.rows - 1]);
    in_epilogue_ = true;
  }

 private:
  void checkpoint() noexcept override {
    if (in_epilogue_) return;
    CheckpointRow row = take(above(readings_.resident.approximate(), readings_.rough_baseline));
    note_most(row, this->probe_, region_, figures_);
    if (figures_.rows % std::max<std::uint64_t>(figures_.checkpoints / kPeakReadings, 1) == 0) take_peak(row);
    series_[figures_.rows++] = row;
    if (mode_ == MEMTOOL_LOCKSTEP || row.live_bytes < figures_.at_peak_live.live_bytes) return;
    figures_.at_peak_live = row;
    figures_.resident_at_peak_live_bytes = row.resident_bytes;
  }
  void take_peak(CheckpointRow& row) noexcept {
    const std::uint64_t most = readings_.resident.take_peak();
    row.most_resident_bytes =
        row.most_resident_bytes == kNotApplicable ? most : std::max(most, row.most_resident_bytes);
    figures_.peak_resident_bytes = std::max(figures_.peak_resident_bytes, most);
  }
  void at_peak() noexcept override {
    readings_.at_peak(figures_);
    figures_.at_peak_live = take(figures_.resident_at_peak_live_bytes);
  }
  CheckpointRow take(std::uint64_t resident) noexcept {
    figures_.peak_resident_bytes = std::max(figures_.peak_resident_bytes, resident);
    return checkpoint_row(strategy_.stats(), region_, on_region_, this->probe_, resident);
  }

  const S& strategy_;
  Region& region_;
  std::uint32_t mode_;
  FootprintFigures& figures_;
  CheckpointRow* series_;
  ProcessReadings& readings_;
  bool on_region_;
  bool in_epilogue_ = false;
};

template <class S, class Given>
void footprint(Threaded<S, Given>& replayed) {
  const ReplayRequest& request = replayed.request;
  ReplayResult& result = replayed.result;
  auto& figures = replayed.template figures<FootprintFigures>();
  replayed.region.reset();
  ProcessReadings readings(request);
  std::optional<S> strategy;
  std::optional<SharedAccount<S>> account;
  const auto make_probe = [&](const Lane&) { return LaneFootprintProbe<S>(*account); };
  struct Work : LaneWork<S, decltype(make_probe)> {
    using LaneWork<S, decltype(make_probe)>::LaneWork;
    void body_began() noexcept override { account->body_began(); }
    void body_ended() noexcept override { account->body_ended(); }
    SharedAccount<S>* account = nullptr;
  };
  Work work(make_probe);
  Lanes lanes(replayed.image, request, replayed.cells.data(), work);
  readings.begin(figures);
  if (!replayed.populate()) return;
  strategy.emplace(replayed.region, replayed.given);
  write_when_moved(*strategy, replayed.image.touch());
  FootprintProbe<S> probe(replayed.image.touch(), *strategy, replayed.region, figures);
  account.emplace(probe, *strategy, replayed.region, request, figures,
                  replayed.template part<CheckpointRow>(figures.series), replayed.image, readings,
                  replayed.on_region());
  work.set_heap(*strategy, replayed.region);
  work.account = &*account;
  readings.begin_faults(replayed.region);
  if (!replayed.finish(lanes, work, *strategy)) return;
  figures.drained_resident_bytes = above(readings.resident.exact().bytes, readings.baseline);
  const HeapStats stats = strategy->stats();
  figures.drained = checkpoint_row(stats, replayed.region, replayed.on_region(), probe, figures.drained_resident_bytes);
  const std::string lie = why_untrue(stats, 0, replayed.region.used());
  if (!lie.empty()) return fail(result, MEMTOOL_WRONG, "after everything was freed: %s", lie.c_str());
  fail_if_overgranted(figures, replayed.on_region(), result);
}

}  // namespace memtool
