// Marks from the roots in a bitmap, and sweeps when cells are requested.
#pragma once

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/marker.hpp"

namespace memtool::graph {

class MarkSweep : public OnBlocks<MarkSweep, 8> {
 public:
  explicit MarkSweep(Surroundings& in) : OnBlocks(in), marker_(heap_, in.telemetry, heap_.most_bytes()) {}

  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    ++telemetry().collections;
    heap_.clear_marks();
    marker_.shade_roots(in_.roots);
    marker_.finish();
    heap_.keep_marked();
  }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return heap_.apart_bytes() + marker_.apart_bytes(); }

 private:
  friend OnBlocks;
  [[gnu::noinline]] void* slowly(std::size_t granules) {
    if (is_due()) run();
    void* cell = heap_.refill(granules);
    if (cell != nullptr) return cell;
    note_forced();
    run();
    return heap_.refill(granules);
  }

  Marker<Layout<8>> marker_;
};

}  // namespace memtool::graph
