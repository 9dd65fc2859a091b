#include "kinds/graph/kernel.hpp"

#include "kinds/graph/passes/check.hpp"
#include "kinds/graph/passes/footprint.hpp"
#include "kinds/graph/passes/heap.hpp"
#include "kinds/graph/passes/pauses.hpp"
#include "kinds/graph/passes/row.hpp"
#include "kinds/rounds.hpp"

namespace memtool::graph {
namespace {

class Replays final : public Rounds {
 public:
  explicit Replays(KernelCall& call) : row_(call) {}
  bool before() override {
    row_.open();
    return true;
  }
  bool body() override { return row_.play(); }
  bool after() override {
    const bool is_detected = row_.heap() != nullptr && row_.detected();
    row_.close();
    return !is_detected;
  }

 private:
  Row row_;
};

void timed(KernelCall& call) {
  Replays replays(call);
  static_cast<void>(run_rounds(call, replays));
}
constexpr KernelPass kPasses[] = {
    {"check", sizeof(CheckFigures), check},       {"throughput", sizeof(ThroughputFigures), timed},
    {"latency", sizeof(PauseFigures), pauses},    {"footprint", sizeof(HeapFigures), footprint},
    {"counters", sizeof(CountersFigures), timed}, {"heap", sizeof(MapsFigures), heap},
};

}  // namespace

bool is_collector(std::string_view name) noexcept {
  return find_collector(name) != nullptr;
}

void run(KernelCall& call) {
  run_pass_of(kPasses, "graphs", call);
}

}  // namespace memtool::graph
