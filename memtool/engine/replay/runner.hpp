// One strategy through one pass: sets up region, strategy, slot table and probe, runs the replay, fills in the result.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "allocators/support/as_malloc.hpp"
#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/generate/arrivals.hpp"
#include "engine/instruments/instructions.hpp"
#include "engine/instruments/resident.hpp"
#include "engine/instruments/system_calls.hpp"
#include "engine/passes/check_probe.hpp"
#include "engine/passes/heap_pass.hpp"
#include "engine/passes/pass.hpp"
#include "engine/passes/probes.hpp"
#include "engine/passes/truth.hpp"
#include "engine/replay/registry.hpp"
#include "engine/replay/replay.hpp"
#include "engine/replay/thread_runner.hpp"

namespace memtool {

struct Image {
  explicit Image(const ReplayRequest& request) noexcept
      : head(*static_cast<const ImageHeader*>(request.image)),
        begin(
            reinterpret_cast<const std::uint64_t*>(static_cast<const std::byte*>(request.image) + sizeof(ImageHeader))),
        epilogue(begin + head.epilogue_word),
        end(begin + head.words) {}
  [[nodiscard]] Touch touch() const noexcept { return static_cast<Touch>(head.touch); }

  const ImageHeader& head;
  const std::uint64_t* begin;
  const std::uint64_t* epilogue;
  const std::uint64_t* end;
};

// The table of live blocks, resident from the start and never part of what is measured.
class SlotTable {
 public:
  explicit SlotTable(std::uint64_t slots) noexcept : bytes_(std::max<std::uint64_t>(slots, 1) * sizeof(void*)) {
    void* mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    slots_ = mapped == MAP_FAILED ? nullptr : static_cast<void**>(mapped);
  }
  ~SlotTable() {
    if (slots_ != nullptr) munmap(slots_, bytes_);
  }
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;
  [[nodiscard]] void** data() const noexcept { return slots_; }

 private:
  std::uint64_t bytes_;
  void** slots_;
};

// `Given` is what the heap is made of: its parameters, or the recipe of one that adaptors stand on.
template <ReplayableHeap S, class Given = Parameters>
  requires std::constructible_from<S, Region&, const Given&>
class Runner {
 public:
  Runner(const Given& given, const ReplayRequest& request, ReplayResult& result)
      : given_(given),
        request_(request),
        result_(result),
        image_(request),
        region_(request.region, request.region_bytes, (request.region_flags & MEMTOOL_REGION_SHARED) != 0),
        slots_(image_.head.slots) {}

  void run() {
    if (slots_.data() == nullptr) {
      fail(result_, MEMTOOL_BAD_REQUEST, "no memory for a slot table of %llu objects", as_printed(image_.head.slots));
      return;
    }
    const bool needs_baseline = request_.pass == MEMTOOL_FOOTPRINT || request_.pass == MEMTOOL_HEAP;
    if (!needs_baseline && !populate()) return;
    switch (request_.pass) {
      case MEMTOOL_CHECK:
        return check();
      case MEMTOOL_THROUGHPUT:
        return throughput();
      case MEMTOOL_LATENCY:
        return latency();
      case MEMTOOL_FOOTPRINT:
        return footprint();
      case MEMTOOL_COUNTERS:
        return counters();
      case MEMTOOL_HEAP:
        return heap();
      case MEMTOOL_CALLS:
        return calls();
      default:
        fail(result_, MEMTOOL_BAD_REQUEST, "unknown pass %u", request_.pass);
    }
  }

 private:
  [[nodiscard]] bool on_region() const { return is_on_region<S>(given_); }

  bool populate() { return populate_region(request_, result_); }

  void throughput() {
    if (image_.touch() == Touch::none) {
      ThroughputProbe<false> probe(Touch::none);
      if (warm_up(probe)) iterate(probe);
    } else {
      ThroughputProbe<true> probe(image_.touch());
      if (warm_up(probe)) iterate(probe);
    }
  }

  void latency() {
    ThroughputProbe<true> plain(image_.touch());
    if (!warm_up(plain)) return;
    const OwnPages arrivals(std::max<std::uint64_t>(request_.arrivals == nullptr ? 0 : image_.head.operations, 1) *
                            sizeof(std::uint64_t));
    if (!arrivals.mapped()) return fail(result_, MEMTOOL_BAD_REQUEST, "no memory for a schedule of arrivals");
    const std::uint64_t* starts = request_.arrivals == nullptr ? nullptr : schedule(arrivals);
    LatencyDetail detail(request_, result_, starts);
    LatencyProbe probe(image_.touch(), request_.use_counter != 0, request_.histograms, &detail);
    for (std::uint32_t i = 0; i < request_.iterations; ++i) {
      if (!latency_once(probe, detail, plain, result_.body_ticks[i])) break;
      ++result_.iterations;
    }
    probe.write_maxima(result_.histogram_maximum);
    detail.add_to(request_.histograms, result_.histogram_maximum);
  }

  // The intended start of each operation, in ticks.
  const std::uint64_t* schedule(const OwnPages& pages) noexcept {
    auto* starts = static_cast<std::uint64_t*>(pages.base());
    const std::uint64_t count = image_.head.operations;
    schedule_arrivals(request_.arrivals, starts, count, image_.begin);
    for (std::uint64_t i = 0; i < count; ++i)
      starts[i] = static_cast<std::uint64_t>(static_cast<double>(starts[i]) * request_.ticks_per_ns / 1000);
    result_.schedule_ticks = count == 0 ? 0 : starts[count - 1];
    return starts;
  }

  // In slices, so that what was slow has its place in the run. The epilogue is not recorded.
  bool latency_once(LatencyProbe& probe, LatencyDetail& detail, ThroughputProbe<true>& plain, std::uint64_t& ticks) {
    const Clock clock(request_.use_counter != 0);
    region_.reset();
    S strategy(region_, given_);
    Replay<S, LatencyProbe> replay(strategy, probe, slots_.data());
    const std::uint64_t start = clock.start();
    detail.begin_replay(start);
    const std::uint64_t* at = image_.begin;
    for (std::uint64_t i = 0; i < MEMTOOL_SLICES && !replay.out_of_memory(); ++i) {
      detail.begin_slice(i);
      at = replay.run(at, image_.begin + image_.head.epilogue_word * (i + 1) / MEMTOOL_SLICES);
    }
    ticks = clock.stop() - start;
    probe.end_frame();
    detail.end_replay();
    if (replay.out_of_memory()) {
      out_of_memory(strategy, at);
      return false;
    }
    Replay<S, ThroughputProbe<true>> rest(strategy, plain, slots_.data());
    rest.run(at, image_.end);
    return !detected_in(strategy);
  }

  // Cold, for that is when most memory is taken.
  void calls() {
    ThroughputProbe<true> probe(image_.touch());
    region_.reset();
    S strategy(region_, given_);
    Replay<S, ThroughputProbe<true>> replay(strategy, probe, slots_.data());
    const SystemCallCounter counter(request_.system_calls_socket);
    if (counter.refusal() != nullptr)
      return fail(result_, MEMTOOL_BAD_REQUEST, "system calls cannot be counted: %s", counter.refusal());
    const std::uint64_t* stopped = replay.run(image_.begin, image_.epilogue);
    SystemCallCounter::stop();
    if (replay.out_of_memory()) return out_of_memory(strategy, stopped);
    replay.run(stopped, image_.end);
    (void)detected_in(strategy);
  }

  // The replay of the throughput pass, to the letter, with its instructions counted in the place of its time.
  void counters() {
    if (image_.touch() == Touch::none) return count_instructions(ThroughputProbe<false>(Touch::none));
    count_instructions(ThroughputProbe<true>(image_.touch()));
  }

  template <class Probe>
  void count_instructions(Probe probe) {
    InstructionCounter counter(request_.counter);
    if (counter.refusal() != nullptr)
      return fail(result_, MEMTOOL_BAD_REQUEST, "instructions cannot be counted: %s", counter.refusal());
    if (!warm_up(probe)) return;
    region_.reset();
    S strategy(region_, given_);
    Replay<S, Probe> replay(strategy, probe, slots_.data());
    counter.start();
    const std::uint64_t* stopped = replay.run(image_.begin, image_.epilogue);
    result_.instructions = counter.stop();
    if (replay.out_of_memory()) return out_of_memory(strategy, stopped);
    replay.run(stopped, image_.end);
  }

  template <class Probe>
  bool warm_up(Probe& probe) {
    for (std::uint32_t i = 0; i < request_.warmups; ++i)
      if (!replay_once(probe, nullptr)) return false;
    return true;
  }

  template <class Probe>
  void iterate(Probe& probe) {
    for (std::uint32_t i = 0; i < request_.iterations; ++i) {
      Timing timing;
      if (!replay_once(probe, &timing)) return;
      result_.body_ticks[i] = timing.body_ticks;
      result_.epilogue_ticks[i] = timing.epilogue_ticks;
      result_.cpu_ns[i] = timing.cpu_ns;
      ++result_.iterations;
    }
  }

  // A new strategy on an emptied region replays everything once. The region's pages stay resident from one replay to
  // the next, and a strategy over malloc finds the heap as the last replay left it.
  struct Timing {
    std::uint64_t body_ticks;
    std::uint64_t epilogue_ticks;
    std::uint64_t cpu_ns;
  };

  template <class Probe>
  bool replay_once(Probe& probe, Timing* timing) {
    const Clock clock(request_.use_counter != 0);
    region_.reset();
    S strategy(region_, given_);
    Replay<S, Probe> replay(strategy, probe, slots_.data());
    const std::uint64_t cpu_before = Clock::process_cpu_nanoseconds();
    const std::uint64_t start = clock.start();
    const std::uint64_t* stopped = replay.run(image_.begin, image_.epilogue);
    const std::uint64_t middle = clock.stop();
    const std::uint64_t cpu_after = Clock::process_cpu_nanoseconds();
    if (replay.out_of_memory()) {
      out_of_memory(strategy, stopped);
      return false;
    }
    const std::uint64_t resumed = clock.start();
    replay.run(stopped, image_.end);
    const std::uint64_t end = clock.stop();
    if (detected_in(strategy)) return false;
    if (timing != nullptr) *timing = {middle - start, end - resumed, cpu_after - cpu_before};
    return true;
  }

  bool detected_in(const S& strategy) { return has_detected(strategy, result_); }

  void out_of_memory(const S& strategy, const std::uint64_t* at) {
    if (detected_in(strategy)) return;  // which is why
    std::uint64_t operation = 0;
    std::uint64_t live = 0;
    for (const std::uint64_t* word = image_.begin; word < at;) {
      const Kind kind = word::kind(*word);
      const Change change = change_of(word);
      live += change.asked - change.freed;
      operation += kind != Kind::scope_begin && kind != Kind::scope_end && kind != Kind::mark && kind != Kind::write;
      word += word::length(*word);
    }
    const Kind kind = word::kind(*at);
    const bool short_form = kind == Kind::allocate || kind == Kind::allocate_zeroed;
    result_.failed_operation = operation;
    result_.failed_size = short_form ? word::size(*at) : word::wide_size(at[1]);
    fail(result_, MEMTOOL_OUT_OF_MEMORY, "out of memory at event %llu, for a request of %llu bytes%s",
         as_printed(operation), as_printed(result_.failed_size),
         state_in_words(std::to_string(live) + " bytes live", state_of(strategy, region_), region_, on_region())
             .c_str());
  }

  void check() {
    constexpr std::uint64_t kChecks = 64;
    region_.reset();
    S strategy(region_, given_);
    CheckBook book;
    CheckProbe<S> probe(strategy, region_, on_region(), book);
    Replay<S, CheckProbe<S>> replay(strategy, probe, slots_.data());
    const std::uint64_t* at = image_.begin;
    for (std::uint64_t i = 1; i <= kChecks && !book.failed() && !replay.out_of_memory(); ++i) {
      // Once at the end of the events before the epilogue, for what is alive there.
      const std::uint64_t* stop = image_.begin + image_.head.words * i / kChecks;
      if (at < image_.epilogue && stop >= image_.epilogue) {
        at = replay.run(at, image_.epilogue);
        report_survivors(book.summary(), result_);
        if (replay.out_of_memory()) break;
      }
      at = replay.run(at, stop);
      if (!book.failed()) probe.verify_heap();
    }
    result_.checks = probe.checks();
    result_.order_digest = book.summary().order_digest;
    if (book.failed()) {
      result_.failed_operation = book.failed_operation();
      fail(result_, MEMTOOL_WRONG, "event %llu: %s", as_printed(book.failed_operation()), book.complaint().c_str());
    } else if (replay.out_of_memory()) {
      out_of_memory(strategy, at);
    }
  }

  void footprint() {
    std::memset(request_.series, 0, (request_.checkpoints + 2) * sizeof(CheckpointRow));
    Resident resident(request_.region, request_.region_bytes, (request_.region_flags & MEMTOOL_REGION_SHARED) != 0);
    region_.reset();
    (void)resident.exact();  // faults in what the reading itself needs, before the baseline
    resident.begin_peak();
    const std::uint64_t baseline = resident.exact().bytes;
    const std::uint64_t rough_baseline = resident.approximate();
    result_.baseline_resident_bytes = baseline;
    if (!populate()) return;
    rusage before;
    getrusage(RUSAGE_SELF, &before);
    const Clock clock(request_.use_counter != 0);
    const std::uint64_t start = clock.start();

    S strategy(region_, given_);
    write_when_moved(strategy, image_.touch());
    FootprintProbe<S> probe(image_.touch(), strategy, region_, result_);
    Replay<S, FootprintProbe<S>> replay(strategy, probe, slots_.data());
    const std::uint64_t* peak = image_.begin + image_.head.peak_live_word;
    const std::uint64_t* at = image_.begin;
    MapStop mark = next_mark(image_.begin, image_.epilogue);
    const auto run_to = [&](const std::uint64_t* stop) {
      for (; mark.at < stop; mark = next_mark(mark.at + 1, image_.epilogue)) {
        at = replay.run(at, mark.at);
        if (replay.out_of_memory()) return;
        if (mark.moment < MEMTOOL_MOST_MAPS)
          result_.at_mark[mark.moment] = figures(strategy.stats(), probe, kNotApplicable);
      }
      at = replay.run(at, stop);
    };
    bool peak_seen = false;
    const std::uint64_t resident_every =
        checkpoints_to_a_resident_reading(request_.checkpoints, image_.head.operations);
    const std::uint64_t peak_every = std::max<std::uint64_t>(request_.checkpoints / kPeakReadings, 1);
    for (std::uint64_t i = 0; i <= request_.checkpoints; ++i) {
      const std::uint64_t* stop =
          image_.begin + image_.head.epilogue_word * i / std::max<std::uint64_t>(request_.checkpoints, 1);
      if (!peak_seen && peak <= stop) {
        run_to(peak);
        peak_seen = true;
        if (replay.out_of_memory()) return out_of_memory(strategy, at);
        if (!at_peak_live(strategy, probe, resident, baseline)) return;
      }
      run_to(stop);
      if (replay.out_of_memory()) return out_of_memory(strategy, at);
      std::uint64_t now = kNotApplicable;
      if (i % resident_every == 0 || i == request_.checkpoints) {
        now = above(resident.approximate(), rough_baseline);
        result_.peak_resident_bytes = std::max(result_.peak_resident_bytes, now);
      }
      CheckpointRow& row = request_.series[result_.rows++];
      if (!note(strategy, probe, now, row)) return;
      note_most(row, probe, region_, result_);
      if ((i > 0 && i % peak_every == 0) || i == request_.checkpoints)
        result_.peak_resident_bytes =
            std::max(result_.peak_resident_bytes, row.most_resident_bytes = resident.take_peak());
    }
    result_.body_ticks[0] = clock.stop() - start;  // of no metric: what checkpoints cost (benchmarks/run.py)
    rusage after;
    getrusage(RUSAGE_SELF, &after);
    result_.minor_faults = static_cast<std::uint64_t>(after.ru_minflt - before.ru_minflt);
    result_.major_faults = static_cast<std::uint64_t>(after.ru_majflt - before.ru_majflt);
    result_.grow_calls = region_.grow_calls();
    result_.shrink_calls = region_.shrink_calls();
    result_.end_resident_bytes = above(resident.exact().bytes, baseline);
    result_.peak_resident_bytes = std::max(result_.peak_resident_bytes, result_.end_resident_bytes);
    if constexpr (Watches<S>) std::snprintf(result_.report, sizeof result_.report, "%s", strategy.report().c_str());
    replay.run(at, image_.end);
    if (detected_in(strategy)) return;
    result_.drained_resident_bytes = above(resident.exact().bytes, baseline);
    if (note(strategy, probe, result_.drained_resident_bytes, result_.drained))
      fail_if_overgranted(result_, on_region());
  }

  // Fills in a checkpoint. False: its figures cannot be true together, and the sample has failed, in words.
  bool note(const S& strategy, const FootprintProbe<S>& probe, std::uint64_t resident, CheckpointRow& row) {
    const HeapStats stats = strategy.stats();
    row = figures(stats, probe, resident);
    std::string lie = why_untrue(stats, row.live_bytes, region_.used());
    if (lie.empty()) lie = why_not_granted(row.granted_bytes, row.live_bytes, row.footprint_bytes);
    if (lie.empty()) return true;
    result_.failed_operation = row.clock;
    fail(result_, MEMTOOL_WRONG, "after %llu operations: %s", as_printed(row.clock), lie.c_str());
    return false;
  }

  void heap() {
    const OwnPages sizes(std::max<std::uint64_t>(image_.head.slots, 1) * sizeof(std::uint64_t));
    const std::uintptr_t slots = reinterpret_cast<std::uintptr_t>(slots_.data());
    const std::uintptr_t region = reinterpret_cast<std::uintptr_t>(request_.region);
    const AddressRange ours[] = {{region, region + request_.region_bytes},
                                 {slots, slots + std::max<std::uint64_t>(image_.head.slots, 1) * sizeof(void*)},
                                 sizes.range()};
    const HeapMapper mapper(ours);
    if (!sizes.mapped() || !mapper.ready()) return fail(result_, MEMTOOL_BAD_REQUEST, "no memory for a heap map");
    std::memset(request_.maps, 0, MEMTOOL_MOST_MAPS * sizeof(HeapMap));
    // Else what the replay marks in it would count as the heap's.
    std::memset(sizes.base(), 0, image_.head.slots * sizeof(std::uint64_t));
    const OwnStatistics own;
    const Resident resident(request_.region, request_.region_bytes,
                            (request_.region_flags & MEMTOOL_REGION_SHARED) != 0);
    region_.reset();
    (void)resident.exact();
    const std::uint64_t baseline = resident.exact().bytes;
    if (!populate()) return;

    S strategy(region_, given_);
    HeapProbe probe(image_.touch(), static_cast<std::uint64_t*>(sizes.base()));
    Replay<S, HeapProbe> replay(strategy, probe, slots_.data());
    const auto map = [&](std::uint64_t moment) {
      if (result_.maps == MEMTOOL_MOST_MAPS) return;
      HeapMap& next = request_.maps[result_.maps++];
      next.moment = moment;
      map_heap(strategy, probe, slots_.data(), image_.head.slots, region_, mapper, own, next);
    };
    const std::uint64_t* peak = image_.begin + image_.head.peak_live_word;
    MapStop mark = next_mark(image_.begin, image_.epilogue);
    const std::uint64_t* at = image_.begin;
    for (bool peak_seen = false; at < image_.epilogue;) {
      at = replay.run(at, peak_seen ? mark.at : std::min(peak, mark.at));
      if (replay.out_of_memory()) return out_of_memory(strategy, at);
      if (!peak_seen && at >= peak) {
        peak_seen = true;
        map(MEMTOOL_AT_PEAK);
      }
      if (at >= mark.at && mark.at < image_.epilogue) {
        // One is left for the end.
        if (result_.maps < MEMTOOL_MOST_MAPS - 1) map(mark.moment);
        mark = next_mark(mark.at + 1, image_.epilogue);
      }
    }
    map(MEMTOOL_AT_END);
    replay.run(at, image_.end);
    if (detected_in(strategy)) return;
    read_after_drain(request_, resident, baseline, result_);
    result_.own_after_drain = own_figures(strategy, own);
  }

  bool at_peak_live(const S& strategy, const FootprintProbe<S>& probe, const Resident& resident,
                    std::uint64_t baseline) {
    const auto exact = resident.exact();
    result_.resident_at_peak_live_bytes = above(exact.bytes, baseline);
    result_.huge_resident_bytes = exact.huge;
    result_.region = resident.of_region();
    result_.peak_resident_bytes = std::max(result_.peak_resident_bytes, result_.resident_at_peak_live_bytes);
    return note(strategy, probe, result_.resident_at_peak_live_bytes, result_.at_peak_live);
  }

  CheckpointRow figures(const HeapStats& stats, const FootprintProbe<S>& probe, std::uint64_t resident) const noexcept {
    return checkpoint_row(stats, region_, on_region(), probe, resident);
  }

  const Given& given_;
  const ReplayRequest& request_;
  ReplayResult& result_;
  Image image_;
  Region region_;
  SlotTable slots_;
};

// Whether it is known here already that a heap is not safe on several threads; of adaptors and adopted heaps it is not.
template <class S>
concept KnownUnsafe = requires { typename std::bool_constant<S::info.thread_safe>; } && !S::info.thread_safe;

// On several threads only what may be safe there is compiled: the rest is left out of a run before it begins.
template <ReplayableHeap S, class Given>
void replay_in_mode(const Given& given, const ReplayRequest& request, ReplayResult& result) {
  if (request.mode == MEMTOOL_SERIAL) return Runner<S, Given>(given, request, result).run();
  if constexpr (KnownUnsafe<S>) {
    fail(result, MEMTOOL_BAD_REQUEST, "not safe on several threads");
  } else {
    ThreadRunner<S, Given>(given, request, result).run();
  }
}

template <Strategy S>
StrategyEntry make_entry(int order) {
  return {
      .order = order,
      .info = &S::info,
      .abilities = {.allocates_zeroed = AllocatesZeroed<S>,
                    .reallocates = Reallocates<S>,
                    .scoped = Scoped<S>,
                    .frees_bare = FreesBare<S>},
      .limits = [](const Parameters& parameters) { return limits_of<S>(parameters); },
      .uses_region = [](const Parameters& parameters) { return uses_region<S>(parameters); },
      .replay = [](const Parameters& parameters, const ReplayRequest& request,
                   ReplayResult& result) { replay_in_mode<S>(parameters, request, result); },
      .open = [](Region& region, const Parameters& parameters) -> std::unique_ptr<AnyHeap> {
        return std::make_unique<HeapOf<S>>(region, parameters);
      },
      .open_as_malloc = [](Region& region, const Parameters& parameters) -> std::unique_ptr<MallocHeap> {
        return std::make_unique<MallocOf<S>>(S::info.thread_safe, region, parameters);
      },
  };
}

}  // namespace memtool
