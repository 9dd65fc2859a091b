#include "kinds/container/kernel.hpp"

#include <algorithm>
#include <vector>

#include "engine/instruments/resident.hpp"
#include "engine/passes/check.hpp"
#include "engine/passes/counters.hpp"
#include "kinds/container/model.hpp"
#include "kinds/container/replayed.hpp"

namespace memtool::containers {
namespace {

constexpr auto kNothing = [](const Step&, const Tally&) { return true; };

void keep(const Spent& spent, std::uint64_t cpu_ns, TimesFigures& times) noexcept {
  constexpr auto kClose = static_cast<std::size_t>(Group::close);
  const std::uint64_t i = times.timings.iterations++;
  for (std::size_t group = 0; group < kGroups; ++group) {
    if (group != kClose) times.timings.body_ticks[i] += spent.ticks[group];
    times.ticks[group] = i == 0 ? spent.ticks[group] : std::min(times.ticks[group], spent.ticks[group]);
    times.units[group] = spent.units[group];
  }
  times.timings.epilogue_ticks[i] = spent.ticks[kClose];
  times.timings.cpu_ns[i] = cpu_ns;
}

void throughput(KernelCall& call) {
  Replayed replayed(call);
  auto& times = call.figures<TimesFigures>();
  for (std::uint32_t i = 0; i < call.request.warmups + call.request.iterations; ++i) {
    Spent spent;
    const std::uint64_t before = Clock::process_cpu_nanoseconds();
    if (!replayed.run(spent, nullptr, kNothing)) return;
    const std::uint64_t used = above(Clock::process_cpu_nanoseconds(), before);
    if (!replayed.finish(spent)) return;
    if (i >= call.request.warmups) keep(spent, used, times);
  }
}

void count_instructions(KernelCall& call) {
  Replayed replayed(call);
  auto& counted = call.figures<CountersFigures>();
  InstructionCounter counter(static_cast<std::uint32_t>(counted.counter));
  if (counter.refusal() != nullptr)
    return fail(call.result, MEMTOOL_BAD_REQUEST, "instructions cannot be counted: %s", counter.refusal());
  Spent spent;
  for (std::uint32_t i = 0; i < call.request.warmups; ++i)
    if (!replayed.run(spent, nullptr, kNothing) || !replayed.finish(spent)) return;
  counter.start();
  const bool is_done = replayed.run(spent, nullptr, kNothing);
  counted.instructions = counter.stop();
  if (is_done) static_cast<void>(replayed.finish(spent));
}

// Compares the contents of the containers with the model, and calls the check of each heap.
void check(KernelCall& call) {
  Replayed replayed(call);
  auto& checked = call.figures<CheckFigures>();
  const auto containers = static_cast<std::size_t>(replayed.image().head().containers);
  Model model(replayed.image().type(), containers);
  Book book;
  Spent spent;
  std::size_t number = 0;
  const auto wrong = [&](const char* words) {
    return refused(call.result, MEMTOOL_WRONG, "in step %zu: %s", number, words);
  };
  const auto verify = [&](const Step& step, const Tally& tally) {
    ++number;
    Tally expected;
    model.run(replayed.image().operations(step), expected);
    if (!book.complaint.empty()) return wrong(book.complaint.c_str());
    for (const auto& heap : replayed.heaps()) {
      try {
        heap->check();
      } catch (const BrokenInvariant& problem) {
        return wrong(problem.what());
      }
      ++checked.checks;
    }
    if (tally.sum != expected.sum || tally.elements != expected.elements)
      return wrong("what was read is not what the containers must hold");
    for (std::size_t i = 0; i < containers; ++i)
      if (replayed.script().contents(i) != model.contents(i))
        return wrong(worded("container %zu does not hold what it must", i).c_str());
    return true;
  };
  if (!replayed.run(spent, &book, verify)) return;
  checked.surviving_objects = book.live.size();
  checked.surviving_size = book.live_bytes;
  if (!replayed.finish(spent)) return;
  if (!book.live.empty())
    fail(call.result, MEMTOOL_WRONG, "%zu blocks remain although all containers are gone", book.live.size());
}

class Lines final : public Visitor {
 public:
  Lines(const Book& book, Locality& locality) noexcept : book_(book), locality_(locality) {}

  void piece(const void* at, std::size_t bytes) override {
    const auto begin = reinterpret_cast<std::uintptr_t>(at);
    for (std::uintptr_t line = begin / kLine; line <= (begin + bytes - 1) / kLine; ++line) {
      if (!lines_.empty() && line != lines_.back() && line != lines_.back() + 1) ++locality_.jumps;
      if (lines_.empty() || line != lines_.back()) lines_.push_back(line);
    }
  }
  void node(const void* inside) override {
    const auto block = std::prev(book_.live.upper_bound(reinterpret_cast<std::uintptr_t>(inside)));
    piece(reinterpret_cast<const void*>(block->first), block->second);
  }
  void end_container() {
    std::ranges::sort(lines_);
    locality_.lines += static_cast<std::uint64_t>(std::ranges::unique(lines_).begin() - lines_.begin());
    lines_.clear();
  }

 private:
  static constexpr std::uintptr_t kLine = 64;
  const Book& book_;
  Locality& locality_;
  std::vector<std::uintptr_t> lines_;
};

void footprint(KernelCall& call) {
  Replayed replayed(call);
  auto& result = call.figures<FootprintFigures>();
  Spent spent;
  {
    const bool is_shared = (call.request.region_flags & MEMTOOL_REGION_SHARED) != 0;
    Resident resident(call.request.region, call.request.region_bytes, is_shared);
    resident.begin_peak();
    if (!replayed.run(spent, nullptr, kNothing) || !replayed.finish(spent)) return;
    result.peak_resident_bytes = resident.take_peak();
  }
  Book book;
  const auto look = [&](const Step& step, const Tally&) {
    const bool is_churned = step.group == static_cast<std::uint64_t>(Group::churned);
    if (!is_churned && step.group != static_cast<std::uint64_t>(Action::traverse)) return true;
    Locality& locality = is_churned ? result.churned : result.fresh;
    locality = {.elements = replayed.script().elements(), .lines = 0, .jumps = 0};
    Lines lines(book, locality);
    for (std::size_t i = 0; i < replayed.image().head().containers; ++i) {
      replayed.script().visit(i, lines);
      lines.end_container();
    }
    return true;
  };
  if (!replayed.run(spent, &book, look)) return;
  const bool on_region = replayed.heaps().front()->uses_region();
  if (!replayed.finish(spent)) return;
  result.allocations = book.allocations;
  result.asked_bytes = book.asked_bytes;
  result.peak_live_bytes = book.peak_live_bytes;
  result.peak_blocks = book.peak_blocks;
  result.peak_footprint_bytes = on_region ? book.peak_footprint : kNotApplicable;
}

constexpr KernelPass kPasses[] = {
    {"check", sizeof(CheckFigures), check},
    {"throughput", sizeof(TimesFigures), throughput},
    {"footprint", sizeof(FootprintFigures), footprint},
    {"counters", sizeof(CountersFigures), count_instructions},
};

}  // namespace

void run(KernelCall& call) {
  run_pass_of(kPasses, "containers", call);
}

}  // namespace memtool::containers
