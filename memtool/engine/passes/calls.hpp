// The calls pass: the parent counts system calls. The heap is cold, because a cold heap takes the most memory.
#pragma once

#include <cstdint>
#include <optional>

#include "engine/instruments/system_calls.hpp"
#include "engine/passes/probes.hpp"
#include "engine/replay/serial.hpp"
#include "engine/replay/threaded.hpp"

namespace memtool {

// memtool/passes/calls.py declares the same structure.
struct CallsFigures {
  std::uint64_t socket;  // the socket over which the means of counting are sent
};

template <class S, class Given>
void calls(Serial<S, Given>& replayed) {
  ThroughputProbe<true> probe(replayed.image.touch());
  replayed.region.reset();
  S strategy(replayed.region, replayed.given);
  Replay<S, ThroughputProbe<true>> replay(strategy, probe, replayed.slots.data());
  const std::uint64_t* stopped = replay.run(replayed.image.begin, replayed.image.body);
  const SystemCallCounter counter(static_cast<int>(replayed.template figures<CallsFigures>().socket));
  if (counter.refusal() != nullptr)
    return fail(replayed.result, MEMTOOL_BAD_REQUEST, "system calls cannot be counted: %s", counter.refusal());
  stopped = replay.run(stopped, replayed.image.epilogue);
  SystemCallCounter::stop();
  if (replay.out_of_memory()) return replayed.out_of_memory(strategy, stopped);
  replay.run(stopped, replayed.image.end);
  (void)replayed.detected_in(strategy);
}

// The threads that run from the beginning exist before the count begins, and all of them have stacks of ours. The
// system calls that create a thread are not the allocator's.
template <class S, class Given>
void calls(Threaded<S, Given>& replayed) {
  replayed.region.reset();
  replayed.clear_cells();
  S strategy(replayed.region, replayed.given);
  const auto make_probe = [&](const Lane&) { return ThroughputProbe<true>(replayed.image.touch()); };
  struct Work : LaneWork<S, decltype(make_probe)> {
    using LaneWork<S, decltype(make_probe)>::LaneWork;
    void about_to_begin() noexcept override {
      if (!is_warmed) counter.emplace(socket);
    }
    void body_began() noexcept override { counter.emplace(socket); }
    void body_ended() noexcept override { SystemCallCounter::stop(); }
    int socket = -1;
    bool is_warmed = false;
    std::optional<SystemCallCounter> counter;
  };
  Work work(make_probe);
  work.set_heap(strategy, replayed.region);
  work.socket = static_cast<int>(replayed.template figures<CallsFigures>().socket);
  work.is_warmed = replayed.image.head.warm_lanes != 0;
  const OwnPages stacks(replayed.image.head.lanes * Lanes::kStack);
  Lanes lanes(replayed.image, replayed.request, replayed.cells.data(), work, stacks.mapped() ? &stacks : nullptr);
  const bool finished = replayed.finish(lanes, work, strategy);
  if (finished && work.counter->refusal() != nullptr)
    fail(replayed.result, MEMTOOL_BAD_REQUEST, "system calls cannot be counted: %s", work.counter->refusal());
}

}  // namespace memtool
