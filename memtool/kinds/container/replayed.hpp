// A script over the heap of a row: opened, replayed step by step, and closed.
#pragma once

#include <cstdint>
#include <memory>
#include <new>
#include <string_view>

#include "engine/instruments/clock.hpp"
#include "engine/replay/kernel.hpp"
#include "kinds/container/heaps.hpp"
#include "kinds/container/row.hpp"
#include "kinds/container/script.hpp"

namespace memtool::containers {

struct Way {
  Through through = Through::std;
  bool is_each = false;     // each container has its own heap
  bool is_control = false;  // Control, not an allocator
};
// For example "std", "pmr-each" or "control".
Way way_of(std::string_view name);

// The costs of a replay, and its numbers of operations, elements and heaps.
struct Spent {
  std::uint64_t ticks[kGroups] = {};
  std::uint64_t units[kGroups] = {};
};

class Replayed {
 public:
  explicit Replayed(KernelCall& call);

  // Creates new heaps on emptied regions (observed if there is a book) and containers on them, and runs all steps.
  // Calls `after(step, tally)` after each. Returns false if the sample has failed.
  template <class AfterStep>
  bool run(Spent& spent, Book* book, AfterStep after);
  // Destroys the containers, then the heaps.
  bool finish(Spent& spent);
  void close() noexcept;

  [[nodiscard]] const Image& image() const noexcept { return image_; }
  [[nodiscard]] const Script& script() const noexcept { return *script_; }
  [[nodiscard]] const Heaps& heaps() const noexcept { return heaps_; }

 private:
  void open(Book* book);
  [[nodiscard]] std::unique_ptr<AnyHeap> heap(Region& region);

  KernelCall& call_;
  Image image_;
  Way way_;
  Clock clock_;
  Room room_of_regions_;
  Row<Region> regions_;
  Heaps heaps_;
  Rooms rooms_;
  std::unique_ptr<Script> script_;  // destroyed before its heaps
  std::uint64_t sum_ = 0;
};

// The number by which the time of a step is divided.
std::uint64_t units_of(const Step& step, const Tally& tally) noexcept;

template <class AfterStep>
bool Replayed::run(Spent& spent, Book* book, AfterStep after) {
  constexpr auto kOpen = static_cast<std::size_t>(Group::open);
  sum_ = 0;
  std::size_t number = 0;
  try {
    std::uint64_t start = clock_.start();
    open(book);
    spent.ticks[kOpen] = clock_.stop() - start;
    spent.units[kOpen] = heaps_.size();
    for (const Step& step : image_.steps()) {
      ++number;
      Tally tally;
      start = clock_.start();
      script_->run(image_.operations(step), tally);
      spent.ticks[step.group] += clock_.stop() - start;
      spent.units[step.group] += units_of(step, tally);
      sum_ += tally.sum;
      if (!after(step, tally)) break;
    }
  } catch (const std::bad_alloc&) {
    if (!call_.detected())
      fail(call_.result, MEMTOOL_OUT_OF_MEMORY, "out of memory in step %zu of %zu", number, image_.steps().size());
  }
  if (call_.result.status != MEMTOOL_DONE) close();
  return call_.result.status == MEMTOOL_DONE;
}

}  // namespace memtool::containers
