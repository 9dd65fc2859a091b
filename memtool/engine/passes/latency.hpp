// The latency pass: a timer around each operation.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "engine/generate/arrivals.hpp"
#include "engine/passes/latency_detail.hpp"
#include "engine/passes/throughput.hpp"

namespace memtool {

// The intended start of each operation, in ticks.
template <class S, class Given>
const std::uint64_t* schedule(Serial<S, Given>& replayed, const OwnPages& pages) noexcept {
  auto* starts = static_cast<std::uint64_t*>(pages.base());
  const std::uint64_t count = replayed.image.head.operations;
  auto& figures = replayed.template figures<LatencyFigures>();
  schedule_arrivals(replayed.template part<std::uint64_t>(figures.arrivals), starts, count, replayed.image.begin);
  for (std::uint64_t i = 0; i < count; ++i)
    starts[i] = static_cast<std::uint64_t>(static_cast<double>(starts[i]) * replayed.request.ticks_per_ns / 1000);
  figures.schedule_ticks = count == 0 ? 0 : starts[count - 1];
  return starts;
}

// Replays in slices, so that slow operations have a place in the run. The epilogue is not recorded.
template <class S, class Given>
bool latency_once(Serial<S, Given>& replayed, LatencyProbe& probe, LatencyDetail& detail, ThroughputProbe<true>& plain,
                  std::uint64_t& ticks) {
  const Clock clock(replayed.request.use_counter != 0);
  replayed.region.reset();
  S strategy(replayed.region, replayed.given);
  const Image& image = replayed.image;
  Replay<S, ThroughputProbe<true>> first(strategy, plain, replayed.slots.data());
  const std::uint64_t* at = replayed.run(first, image.begin, image.body);
  if (first.out_of_memory()) {
    replayed.out_of_memory(strategy, at);
    return false;
  }
  Replay<S, LatencyProbe> replay(strategy, probe, replayed.slots.data(), {&replayed.pacer});
  const std::uint64_t idle = replayed.idle_ticks();
  const std::uint64_t start = clock.start();
  replayed.pacer.begin(start);
  detail.begin_replay(start);
  const auto words = static_cast<std::uint64_t>(image.epilogue - image.body);
  for (std::uint64_t i = 0; i < MEMTOOL_SLICES && !replay.out_of_memory(); ++i) {
    detail.begin_slice(i);
    at = replayed.run(replay, at, image.body + words * (i + 1) / MEMTOOL_SLICES);
  }
  ticks = clock.stop() - start - (replayed.idle_ticks() - idle);
  probe.end_frame();
  detail.end_replay();
  if (replay.out_of_memory()) {
    replayed.out_of_memory(strategy, at);
    return false;
  }
  Replay<S, ThroughputProbe<true>> rest(strategy, plain, replayed.slots.data());
  replayed.run(rest, at, image.end);
  return !replayed.detected_in(strategy);
}

template <class S, class Given>
void latency(Serial<S, Given>& replayed) {
  const ReplayRequest& request = replayed.request;
  auto& figures = replayed.template figures<LatencyFigures>();
  ThroughputProbe<true> plain(replayed.image.touch());
  if (!warm_up(replayed, [&] { return plain; })) return;
  const std::uint64_t operations = figures.arrivals == 0 ? 0 : replayed.image.head.operations;
  const OwnPages arrivals(std::max<std::uint64_t>(operations, 1) * sizeof(std::uint64_t));
  if (!arrivals.mapped()) return fail(replayed.result, MEMTOOL_BAD_REQUEST, "no memory for a schedule of arrivals");
  const std::uint64_t* starts = figures.arrivals == 0 ? nullptr : schedule(replayed, arrivals);
  LatencyDetail detail(figures, starts);
  LatencyProbe probe(replayed.image.touch(), request.use_counter != 0, figures.histograms, &detail);
  for (std::uint32_t i = 0; i < request.iterations; ++i) {
    if (!latency_once(replayed, probe, detail, plain, figures.timings.body_ticks[i])) break;
    ++figures.timings.iterations;
  }
  figures.timings.late_ticks = replayed.pacer.late();
  probe.write_maxima(figures.maximum);
  detail.add_to(figures.histograms, figures.maximum);
}

// The histograms of the lanes. The first lanes have their own. The others take a set and return it, so that a thousand
// short-lived threads need no more sets than run at once.
class LaneHistograms {
 public:
  static constexpr std::size_t kCounts = MEMTOOL_HISTOGRAMS * Histogram::kBuckets;
  LaneHistograms(LatencyFigures& figures, std::uint64_t* own) noexcept : figures_(figures), own_(own) {}

  std::uint64_t* take(std::uint32_t lane) {
    if (lane < figures_.thread_histogram_count) return own_ + lane * kCounts;
    const std::scoped_lock lock(mutex_);
    if (free_.empty()) {
      sets_.push_back(std::make_unique<Table<std::uint64_t>>(kCounts));
      return sets_.back()->data();
    }
    std::uint64_t* set = free_.back();
    free_.pop_back();
    return set;
  }
  void give_back(std::uint32_t lane, std::uint64_t* set, const LatencyProbe& probe) {
    const std::scoped_lock lock(mutex_);
    if (lane >= figures_.thread_histogram_count) free_.push_back(set);
    std::uint64_t maxima[MEMTOOL_HISTOGRAMS];
    probe.write_maxima(maxima);
    for (std::size_t i = 0; i < MEMTOOL_HISTOGRAMS; ++i) maxima_[i] = std::max(maxima_[i], maxima[i]);
  }
  // Adds all sets to those of the request, and the frees of other threads' blocks to all frees.
  void add_up() const noexcept {
    for (std::uint32_t lane = 0; lane < figures_.thread_histogram_count; ++lane) add(own_ + lane * kCounts);
    for (const auto& set : sets_) add(set->data());
    std::uint64_t* maxima = figures_.maximum;
    std::copy(maxima_.begin(), maxima_.end(), maxima);
    std::uint64_t* all = figures_.histograms + MEMTOOL_HISTOGRAM_DEALLOCATE * Histogram::kBuckets;
    const std::uint64_t* remote = figures_.histograms + MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE * Histogram::kBuckets;
    for (std::size_t i = 0; i < Histogram::kBuckets; ++i) all[i] += remote[i];
    maxima[MEMTOOL_HISTOGRAM_DEALLOCATE] =
        std::max(maxima[MEMTOOL_HISTOGRAM_DEALLOCATE], maxima[MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE]);
  }

 private:
  void add(const std::uint64_t* set) const noexcept {
    for (std::size_t i = 0; i < kCounts; ++i) figures_.histograms[i] += set[i];
  }
  LatencyFigures& figures_;
  std::uint64_t* own_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Table<std::uint64_t>>> sets_;
  std::vector<std::uint64_t*> free_;
  std::array<std::uint64_t, MEMTOOL_HISTOGRAMS> maxima_{};
};

class PooledLatencyProbe : public LatencyProbe {
 public:
  PooledLatencyProbe(LaneHistograms& histograms, std::uint32_t lane, Touch touch, bool use_counter)
      : PooledLatencyProbe(histograms, lane, touch, use_counter, histograms.take(lane)) {}
  ~PooledLatencyProbe() { histograms_.give_back(lane_, set_, *this); }
  PooledLatencyProbe(const PooledLatencyProbe&) = delete;
  PooledLatencyProbe& operator=(const PooledLatencyProbe&) = delete;
  // The probe of the warm-up and of the epilogue.
  [[nodiscard]] static ThroughputProbe<true> unrecorded(Touch touch) noexcept { return ThroughputProbe<true>(touch); }

 private:
  PooledLatencyProbe(LaneHistograms& histograms, std::uint32_t lane, Touch touch, bool use_counter, std::uint64_t* set)
      : LatencyProbe(touch, use_counter, set), histograms_(histograms), lane_(lane), set_(set) {}
  LaneHistograms& histograms_;
  std::uint32_t lane_;
  std::uint64_t* set_;
};

template <class S, class Given>
void latency(Threaded<S, Given>& replayed) {
  const Touch touch = replayed.image.touch();
  if (!warm_up(replayed, [touch](const Lane&) { return ThroughputProbe<true>(touch); })) return;
  auto& figures = replayed.template figures<LatencyFigures>();
  LaneHistograms histograms(figures, replayed.template part<std::uint64_t>(figures.thread_histograms));
  const auto make_probe = [&](const Lane& lane) {
    return PooledLatencyProbe(histograms, lane.number, touch, replayed.request.use_counter != 0);
  };
  const Kept kept{&figures.timings, replayed.template part<ThreadRow>(figures.threads)};
  for (std::uint32_t i = 0; i < replayed.request.iterations; ++i)
    if (!replayed.replay_once(make_probe, kept)) return;
  histograms.add_up();
}

}  // namespace memtool
