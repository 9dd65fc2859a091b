// The passes of a replay: THE list, one line each, for one thread and for several. memtool/passes has the same list.
#pragma once

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "engine/passes/calls.hpp"
#include "engine/passes/check.hpp"
#include "engine/passes/counters.hpp"
#include "engine/passes/footprint.hpp"
#include "engine/passes/heap.hpp"
#include "engine/passes/latency.hpp"
#include "engine/passes/throughput.hpp"

namespace memtool {

template <class Replayed>
struct Pass {
  std::string_view name;
  std::uint64_t figures_bytes;
  void (*run)(Replayed&);
  // Whether the pass itself populates the region, after it has read the resident baseline.
  bool populates = false;
};

template <class R>
inline constexpr Pass<R> kPasses[] = {
    {"check", sizeof(CheckFigures), [](R& replayed) { check(replayed); }},
    {"throughput", sizeof(ThroughputFigures), [](R& replayed) { throughput(replayed); }},
    {"latency", sizeof(LatencyFigures), [](R& replayed) { latency(replayed); }},
    {"footprint", sizeof(FootprintFigures), [](R& replayed) { footprint(replayed); }, true},
    {"counters", sizeof(CountersFigures), [](R& replayed) { counters(replayed); }},
    {"heap", sizeof(HeapPassFigures), [](R& replayed) { heap(replayed); }, true},
    {"calls", sizeof(CallsFigures), [](R& replayed) { calls(replayed); }},
};

// `replayed`: Serial or Threaded.
template <class Replayed>
void run_pass(Replayed&& replayed) {
  const ReplayRequest& request = replayed.request;
  if (!replayed.ready()) return;
  for (const auto& pass : kPasses<std::remove_reference_t<Replayed>>) {
    if (pass.name != request.pass) continue;
    if (pass.figures_bytes != request.figures_bytes)
      return fail(replayed.result, MEMTOOL_BAD_REQUEST, "the figures of the %s pass have %llu bytes here, not %llu",
                  request.pass, as_printed(pass.figures_bytes), as_printed(request.figures_bytes));
    if (!pass.populates && !replayed.populate()) return;
    return pass.run(replayed);
  }
  fail(replayed.result, MEMTOOL_BAD_REQUEST, "unknown pass %s", request.pass);
}

}  // namespace memtool
