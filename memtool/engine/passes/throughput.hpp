// The throughput pass: no timer inside.
#pragma once

#include <cstdint>

#include "engine/passes/probes.hpp"
#include "engine/replay/serial.hpp"
#include "engine/replay/threaded.hpp"

namespace memtool {

// memtool/passes/throughput.py declares the same structure.
struct ThroughputFigures {
  std::uint64_t threads;  // offset of a ThreadRow for each lane
  Timings timings;
};

// Calls run(make_probe), where make_probe makes the probe of an untimed replay. If no block is touched, nothing of this
// is compiled into the replay on one thread.
template <class S, class Given, class Run>
void with_plain_probe(const Serial<S, Given>& replayed, Run run) {
  const Touch touch = replayed.image.touch();
  if (touch == Touch::none) return run([] { return ThroughputProbe<false>(Touch::none); });
  run([touch] { return ThroughputProbe<true>(touch); });
}
template <class S, class Given, class Run>
void with_plain_probe(const Threaded<S, Given>& replayed, Run run) {
  const Touch touch = replayed.image.touch();
  run([touch](const Lane&) { return ThroughputProbe<true>(touch); });
}

template <class Replayed, class MakeProbe>
bool warm_up(Replayed& replayed, MakeProbe make_probe) {
  for (std::uint32_t i = 0; i < replayed.request.warmups; ++i)
    if (!replayed.replay_once(make_probe, {})) return false;
  return true;
}

template <class Replayed, class MakeProbe>
void iterate(Replayed& replayed, MakeProbe make_probe, const Kept& kept) {
  for (std::uint32_t i = 0; i < replayed.request.iterations; ++i)
    if (!replayed.replay_once(make_probe, kept)) return;
}

template <class Replayed>
void throughput(Replayed& replayed) {
  auto& figures = replayed.template figures<ThroughputFigures>();
  const Kept kept{&figures.timings, replayed.template part<ThreadRow>(figures.threads)};
  with_plain_probe(replayed, [&](auto make_probe) {
    if (warm_up(replayed, make_probe)) iterate(replayed, make_probe, kept);
  });
}

}  // namespace memtool
