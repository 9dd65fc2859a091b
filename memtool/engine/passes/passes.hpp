// The passes of a replay: THE list in two parts, one line each, for one thread and for several. memtool/passes has the
// same list.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
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

// The passes that time or count what the code of a heap itself does. They are compiled for each strategy.
template <class R>
inline constexpr Pass<R> kInlinedPasses[] = {
    {"throughput", sizeof(ThroughputFigures), [](R& replayed) { throughput(replayed); }},
    {"latency", sizeof(LatencyFigures), [](R& replayed) { latency(replayed); }},
    {"counters", sizeof(CountersFigures), [](R& replayed) { counters(replayed); }},
};
// The figures of these passes do not depend on how the heap is called. So they are compiled once, for a heap behind
// virtual calls.
template <class R>
inline constexpr Pass<R> kOtherPasses[] = {
    {"check", sizeof(CheckFigures), [](R& replayed) { check(replayed); }},
    {"footprint", sizeof(FootprintFigures), [](R& replayed) { footprint(replayed); }, true},
    {"heap", sizeof(HeapPassFigures), [](R& replayed) { heap(replayed); }, true},
    {"calls", sizeof(CallsFigures), [](R& replayed) { calls(replayed); }},
};

inline constexpr std::string_view kInlined[] = {"throughput", "latency", "counters"};
inline bool is_inlined(std::string_view pass) noexcept {
  return std::ranges::find(kInlined, pass) != std::end(kInlined);
}

template <class Replayed>
void run_pass(Replayed& replayed, const Pass<Replayed>& pass) {
  const ReplayRequest& request = replayed.request;
  if (pass.figures_bytes != request.figures_bytes)
    return fail(replayed.result, MEMTOOL_BAD_REQUEST, "the figures of the %s pass have %llu bytes here, not %llu",
                request.pass, as_printed(pass.figures_bytes), as_printed(request.figures_bytes));
  if (pass.populates || replayed.populate()) pass.run(replayed);
}

// `replayed`: Serial or Threaded. `kAll`: all passes are compiled for its heap, and not only those that are inlined.
template <bool kAll = true, class Replayed>
void run_pass(Replayed&& replayed) {
  using R = std::remove_reference_t<Replayed>;
  static_assert(std::ranges::equal(kInlinedPasses<R>, kInlined, {}, &Pass<R>::name));
  const std::string_view name = replayed.request.pass;
  if (!replayed.ready()) return;
  for (const Pass<R>& pass : kInlinedPasses<R>)
    if (pass.name == name) return run_pass(replayed, pass);
  if constexpr (kAll) {
    for (const Pass<R>& pass : kOtherPasses<R>)
      if (pass.name == name) return run_pass(replayed, pass);
  }
  fail(replayed.result, MEMTOOL_BAD_REQUEST, "unknown pass %s", replayed.request.pass);
}

}  // namespace memtool
