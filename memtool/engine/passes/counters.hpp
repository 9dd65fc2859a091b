// The counters pass: exactly the replay of the throughput pass, but it counts instructions instead of measuring time.
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/instruments/instructions.hpp"
#include "engine/passes/throughput.hpp"

namespace memtool {

// memtool/passes/counters.py declares the same structure.
struct CountersFigures {
  std::uint64_t counter;       // MEMTOOL_COUNTER_*
  std::uint64_t instructions;  // 0 under callgrind, which writes the count to a file
};

template <class S, class Given>
void counters(Serial<S, Given>& replayed) {
  auto& figures = replayed.template figures<CountersFigures>();
  InstructionCounter counter(static_cast<std::uint32_t>(figures.counter));
  if (counter.refusal() != nullptr)
    return fail(replayed.result, MEMTOOL_BAD_REQUEST, "instructions cannot be counted: %s", counter.refusal());
  with_plain_probe(replayed, [&](auto make_probe) {
    if (!warm_up(replayed, make_probe)) return;
    replayed.region.reset();
    S strategy(replayed.region, replayed.given);
    auto probe = make_probe();
    Replay<S, decltype(probe)> replay(strategy, probe, replayed.slots.data());
    const std::uint64_t* stopped = replay.run(replayed.image.begin, replayed.image.body);
    counter.start();
    stopped = replay.run(stopped, replayed.image.epilogue);
    figures.instructions = counter.stop();
    if (replay.out_of_memory()) return replayed.out_of_memory(strategy, stopped);
    replay.run(stopped, replayed.image.end);
  });
}

// Counts the instructions of its lane from here to the end of the lane's body, except while the lane waits.
class CountedProbe : public ThroughputProbe<true> {
 public:
  CountedProbe(Touch touch, Lane& lane, std::uint32_t counter, std::atomic<std::uint64_t>& total) noexcept
      : ThroughputProbe<true>(touch), lane_(lane), counter_(counter), total_(total) {
    lane_.counter = &counter_;
    counter_.start_thread();
  }
  ~CountedProbe() { body_ended(); }
  CountedProbe(const CountedProbe&) = delete;
  CountedProbe& operator=(const CountedProbe&) = delete;

  void body_ended() noexcept {
    if (lane_.counter == nullptr) return;
    total_ += counter_.stop_thread();
    lane_.counter = nullptr;
  }
  // The probe of the warm-up and of the epilogue.
  [[nodiscard]] static ThroughputProbe<true> unrecorded(Touch touch) noexcept { return ThroughputProbe<true>(touch); }

 private:
  Lane& lane_;
  InstructionCounter counter_;
  std::atomic<std::uint64_t>& total_;
};

// Counts the instructions of all lanes, except those executed while they wait for each other.
template <class S, class Given>
void counters(Threaded<S, Given>& replayed) {
  auto& figures = replayed.template figures<CountersFigures>();
  const auto counter = static_cast<std::uint32_t>(figures.counter);
  const InstructionCounter trial(counter);
  if (trial.refusal() != nullptr)
    return fail(replayed.result, MEMTOOL_BAD_REQUEST, "instructions cannot be counted: %s", trial.refusal());
  with_plain_probe(replayed, [&](auto make_probe) {
    if (!warm_up(replayed, make_probe)) return;
    std::atomic<std::uint64_t> total = 0;
    const auto counted = [&](Lane& lane) { return CountedProbe(replayed.image.touch(), lane, counter, total); };
    if (counter == MEMTOOL_COUNTER_CALLGRIND) InstructionCounter::instrument();
    (void)replayed.replay_once(counted, {});
    if (counter == MEMTOOL_COUNTER_CALLGRIND) InstructionCounter::stop_instrumenting();
    figures.instructions = total;
  });
}

}  // namespace memtool
