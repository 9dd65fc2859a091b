// Marks from the roots in a bitmap, and sweeps when cells are requested.
#pragma once

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/marker.hpp"

namespace memtool::graph {

class MarkSweep : public Collector<MarkSweep, 8> {
 public:
  explicit MarkSweep(Surroundings& in)
      : Collector(in),
        heap_(in.region, in.settings.limit, in.settings.poisons),
        marker_(heap_, in.telemetry, heap_.most_bytes()) {}

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t) {
    const std::size_t granules = this->granules(body);
    void* cell = heap_.take(granules);
    if (cell == nullptr) [[unlikely]] {
      cell = slowly(granules);
      if (cell == nullptr) return nullptr;
    }
    word_at(cell) = Header::make(granules, references);
    return object(cell);
  }

  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    ++telemetry().collections;
    heap_.clear_marks();
    marker_.shade_roots(in_.roots);
    marker_.finish();
    heap_.keep_marked();
  }
  [[nodiscard]] std::size_t given_out() const noexcept { return heap_.given_out(); }
  void forget_given_out() noexcept { heap_.forget_given_out(); }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return heap_.apart_bytes() + marker_.apart_bytes(); }
  template <class Visit>
  void walk(Visit visit) {
    heap_.walk([&](std::byte* cell) { visit(object(cell)); });
  }

 private:
  [[gnu::noinline]] void* slowly(std::size_t granules) {
    if (is_due()) run();
    void* cell = heap_.refill(granules);
    if (cell != nullptr) return cell;
    note_forced();
    run();
    return heap_.refill(granules);
  }

  BlockHeap heap_;
  Marker<Layout<8>> marker_;
};

}  // namespace memtool::graph
