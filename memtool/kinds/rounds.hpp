// The passes that time and count, for kernels that replay no events: rounds that repeat the same work.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/instruments/clock.hpp"
#include "engine/instruments/instructions.hpp"
#include "engine/passes/counters.hpp"
#include "engine/passes/throughput.hpp"

namespace memtool {

// Each function returns false once the sample has failed, with a message in the result.
class Rounds {
 public:
  virtual ~Rounds() = default;
  virtual bool before() { return true; }
  virtual bool body() = 0;  // timed and counted
  virtual bool after() { return true; }
};

// Runs one round. `start` and `stop` are called around its body.
template <class Start, class Stop>
bool run_round(Rounds& rounds, Start start, Stop stop) {
  if (!rounds.before()) return false;
  start();
  const bool done = rounds.body();
  stop();
  return done && rounds.after();
}

// Runs the throughput pass and the counters pass. Returns false if the request is for another pass. `Called` is a
// Frame.
template <class Called>
bool run_rounds(Called& call, Rounds& rounds) {
  const ReplayRequest& request = call.request;
  const std::string_view pass = request.pass;
  const bool counts = pass == "counters";
  if (!counts && pass != "throughput") return false;
  const auto nothing = [] {};
  for (std::uint32_t i = 0; i < request.warmups; ++i)
    if (!run_round(rounds, nothing, nothing)) return true;
  if (counts) {
    auto& figures = call.template figures<CountersFigures>();
    InstructionCounter counter(static_cast<std::uint32_t>(figures.counter));
    if (counter.refusal() != nullptr) {
      fail(call.result, MEMTOOL_BAD_REQUEST, "instructions cannot be counted: %s", counter.refusal());
      return true;
    }
    (void)run_round(rounds, [&] { counter.start(); }, [&] { figures.instructions = counter.stop(); });
    return true;
  }
  const Clock clock(request.use_counter != 0);
  Timings& timings = call.template figures<ThroughputFigures>().timings;
  for (std::uint32_t i = 0; i < request.iterations; ++i) {
    std::uint64_t cpu = 0;
    std::uint64_t ticks = 0;
    const auto start = [&] {
      cpu = Clock::process_cpu_nanoseconds();
      ticks = clock.start();
    };
    const auto stop = [&] {
      ticks = clock.stop() - ticks;
      cpu = above(Clock::process_cpu_nanoseconds(), cpu);
    };
    if (!run_round(rounds, start, stop)) return true;
    timings.body_ticks[timings.iterations] = ticks;
    timings.cpu_ns[timings.iterations++] = cpu;
  }
  return true;
}

}  // namespace memtool
