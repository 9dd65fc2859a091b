// The latency pass: the pauses of the program, and the parts of its time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kinds/graph/kernel.hpp"
#include "kinds/graph/passes/row.hpp"
#include "kinds/graph/passes/utilisation.hpp"
#include "kinds/graph/play/known_places.hpp"

namespace memtool::graph {

// Keeps each pause, or the longest one of each group if there is not enough room for all.
inline void keep_course(std::span<const Pause> pauses, std::uint64_t begin, PauseFigures& figures) {
  const std::size_t groups = std::min(pauses.size(), kCourse);
  for (std::size_t i = 0; i < groups; ++i) {
    const auto group =
        pauses.subspan(pauses.size() * i / groups, pauses.size() * (i + 1) / groups - pauses.size() * i / groups);
    const Pause& longest =
        *std::ranges::max_element(group, {}, [](const Pause& pause) { return pause.end - pause.begin; });
    figures.course[i] = {longest.begin - begin, longest.end - longest.begin, static_cast<std::uint64_t>(longest.cause),
                         longest.processor_ns};
  }
  figures.course_length = groups;
}

inline void account(const Telemetry& telemetry, std::uint64_t begin, std::uint64_t end, double ticks_per_ns,
                    PauseFigures& figures) {
  figures.elapsed_ticks = end - begin;
  figures.pauses = telemetry.pauses.size();
  Histogram histogram(figures.counts);
  for (const Pause& pause : telemetry.pauses) {
    histogram.record(pause.end - pause.begin);
    figures.pause_ticks += pause.end - pause.begin;
    figures.paused_ns += pause.processor_ns;
    if (pause.cause == Cause::overtaken) ++figures.overtaken;
  }
  figures.maximum = histogram.maximum();
  for (std::size_t i = 0; i < kWindowCount; ++i) {
    const auto window = static_cast<std::uint64_t>(static_cast<double>(kWindows[i]) * ticks_per_ns);
    figures.utilisation[i] = least_utilisation(telemetry.pauses, begin, end, window);
  }
  keep_course(telemetry.pauses, begin, figures);
}

// Control replays; each leaves out a part of the work, to isolate its cost. The functions return false if the sample
// has failed.
class Controls {
 public:
  Controls(KernelCall& call, Row& row) : call_(call), row_(row) {}

  // Whether there is room for everything that the program allocates.
  [[nodiscard]] bool have_room() const noexcept { return all() <= kMost && 4 * all() <= call_.request.region_bytes; }
  // Objects whose places are known in advance: this is the cost of the program itself.
  bool time_mutator(std::uint64_t& least) {
    row_.close();
    call_.region.reset();
    const Head& head = row_.program().head();
    std::vector<Object*> places;
    places.reserve(head.allocations);
    {
      row_.forget_roots();
      FindsPlaces finds(call_.region, row_.roots(), head.slots, places);
      if (!row_.play_on(finds)) return false;
    }
    for (int i = 0; i < kTimes; ++i) {
      row_.forget_roots();
      KnowsPlaces knows(row_.roots(), places);
      if (!timed(least, [&] { return row_.play_on(knows); })) return false;
    }
    return true;
  }
  // On a heap that is never full, barriers have a cost and no effect.
  bool time_barriers(std::uint64_t& guarded, std::uint64_t& unguarded) {
    Settings& settings = row_.in().settings;
    settings.limit = 3 * all();
    settings.nursery = all();
    settings.trigger = settings.limit;
    settings.at_safe_points = false;
    settings.reclaims = false;
    std::uint64_t first = kNone;  // runs on memory that has not been touched
    for (int i = 0; i <= kTimes; ++i)
      for (const bool is_guarded : {false, true}) {
        row_.open();
        std::uint64_t& least = i == 0 ? first : is_guarded ? guarded : unguarded;
        if (!timed(least, [&] { return row_.play(is_guarded); })) return false;
      }
    return true;
  }

 private:
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 29;
  static constexpr int kTimes = 2;

  [[nodiscard]] std::uint64_t all() const noexcept {
    const Head& head = row_.program().head();
    return head.allocated_bytes + head.allocations * 32 + (1 << 20);
  }
  template <class Play>
  static bool timed(std::uint64_t& least, Play play) {
    const std::uint64_t start = Clock::thread_cpu_nanoseconds();
    if (!play()) return false;
    least = std::min(least, Clock::thread_cpu_nanoseconds() - start);
    return true;
  }

  KernelCall& call_;
  Row& row_;
};

inline void pauses(KernelCall& call) {
  Row row(call);
  auto& figures = call.figures<PauseFigures>();
  figures.guarded_ns = figures.unguarded_ns = figures.mutator_ns = kNone;
  for (std::uint32_t i = 0; i < call.request.warmups; ++i) {
    row.open();
    if (!row.play()) return;
  }
  row.telemetry().times_processor = true;
  row.open();
  const std::uint64_t processor = Clock::thread_cpu_nanoseconds();
  const std::uint64_t begin = row.telemetry().clock.start();
  if (!row.play()) return;
  const std::uint64_t end = row.telemetry().clock.stop();
  figures.replay_ns = Clock::thread_cpu_nanoseconds() - processor;
  if (row.entry() == nullptr || row.in().settings.pause_ticks == 0) figures.overtaken = kNotApplicable;
  account(row.telemetry(), begin, end, call.request.ticks_per_ns, figures);
  if (row.entry() == nullptr) figures.paused_ns = kNotApplicable;
  Controls controls(call, row);
  if (!controls.have_room()) return;
  const bool has_barriers = row.entry() != nullptr && row.entry()->info.has_barriers;
  if (has_barriers && !controls.time_barriers(figures.guarded_ns, figures.unguarded_ns)) return;
  static_cast<void>(controls.time_mutator(figures.mutator_ns));
}

}  // namespace memtool::graph
