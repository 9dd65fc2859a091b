// The heap pass: maps of the heap at the peak of live bytes, at marks and at the end, and the memory that is returned
// to the system after everything is freed, immediately and later. It is not timed. It needs a process of its own,
// because it waits.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/instruments/own_statistics.hpp"
#include "engine/instruments/resident.hpp"
#include "engine/passes/heap_map.hpp"
#include "engine/passes/marks.hpp"
#include "engine/passes/probes.hpp"
#include "engine/replay/serial.hpp"
#include "engine/replay/threaded.hpp"

namespace memtool {

// memtool/passes/heap.py declares the same structure.
struct HeapPassFigures {
  std::uint64_t drain_waits_ms[MEMTOOL_DRAIN_READINGS];              // input: delays after the drain, ascending
  std::uint64_t after_drain_resident_bytes[MEMTOOL_DRAIN_READINGS];  // resident bytes after these delays
  OwnFigures own_after_drain;
  std::uint64_t maps;
  HeapMap map[MEMTOOL_MOST_MAPS];
};

// Records which slots hold a live block.
class HeapProbe : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;
  // `sizes`: one zeroed entry for each slot.
  HeapProbe(Touch touch, std::uint64_t* sizes) noexcept : touch_(touch), sizes_(sizes) {}

  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t, bool) noexcept {
    touch_block(touch_, block, size);
    ++operations_;
    enter(slot, size);
  }
  void deallocating(std::uint32_t slot, void*, std::uint64_t size) noexcept {
    ++operations_;
    leave(slot, size);
  }
  void reallocating(std::uint32_t slot, void*, std::uint64_t size) noexcept { leave(slot, size); }
  void reallocated(std::uint32_t slot, void* block, std::uint64_t, std::uint64_t size, std::size_t) noexcept {
    touch_block(touch_, block, size);
    ++operations_;
    enter(slot, size);
  }

  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  [[nodiscard]] std::uint64_t live() const noexcept { return live_; }
  [[nodiscard]] bool holds(std::uint64_t slot) const noexcept { return sizes_[slot] != 0; }
  [[nodiscard]] std::uint64_t size(std::uint64_t slot) const noexcept { return sizes_[slot] - 1; }

 private:
  void enter(std::uint32_t slot, std::uint64_t size) noexcept {
    live_ += size;
    sizes_[slot] = size + 1;  // a request may be for 0 bytes
  }
  void leave(std::uint32_t slot, std::uint64_t size) noexcept {
    live_ -= size;
    sizes_[slot] = 0;
  }

  Touch touch_;
  std::uint64_t* sizes_;
  std::uint64_t operations_ = 0;
  std::uint64_t live_ = 0;
};

// The figures that malloc reports are the strategy's only if malloc serves it.
template <class S>
OwnFigures own_figures([[maybe_unused]] const S& strategy, const OwnStatistics& own) noexcept {
  if (strategy.info.uses_region) return {kNotApplicable, kNotApplicable, kNotApplicable, kNotApplicable};
  return own.read();
}

// `live(report)` calls report(block, usable bytes) for each live block.
template <class S, class Live>
void map_live_heap(const S& strategy, Live live, const Region& region, const HeapMapper& mapper,
                   const OwnStatistics& own, HeapMap& map) {
  if (strategy.info.uses_region) {
    const auto walk = [&](const BlockVisitor& visit) {
      strategy.walk([&](const void* block, std::size_t bytes, BlockState state) {
        map.walked = 1;
        visit(block, bytes, state);
      });
    };
    mapper.map_region(region, std::cref(walk), std::cref(live), map);
  } else {
    mapper.map_process(std::cref(live), map);
  }
  map.own = own_figures(strategy, own);
}

template <class S>
void map_heap(const S& strategy, const HeapProbe& probe, void* const* slots, std::uint64_t slot_count,
              const Region& region, const HeapMapper& mapper, const OwnStatistics& own, HeapMap& map) {
  map.clock = probe.operations();
  map.live_bytes = probe.live();
  const auto live = [&](const HeapMapper::BlockReport& report) {
    for (std::uint64_t slot = 0; slot < slot_count; ++slot)
      if (probe.holds(slot)) report(slots[slot], strategy.usable_size(slots[slot], probe.size(slot)));
  };
  map_live_heap(strategy, live, region, mapper, own, map);
}

// Sleeps until `milliseconds` after `start`, by the monotonic clock.
inline void sleep_until(timespec start, std::uint64_t milliseconds) noexcept {
  start.tv_sec += static_cast<time_t>(milliseconds / 1000);
  start.tv_nsec += static_cast<long>(milliseconds % 1000) * 1'000'000;
  if (start.tv_nsec >= 1'000'000'000) {
    start.tv_nsec -= 1'000'000'000;
    ++start.tv_sec;
  }
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &start, nullptr) == EINTR) {
  }
}

// Reads the resident memory immediately and some time after everything was freed, while the program is idle.
inline void read_after_drain(HeapPassFigures& figures, const Resident& resident, std::uint64_t baseline) noexcept {
  timespec drained{};
  clock_gettime(CLOCK_MONOTONIC, &drained);
  for (std::size_t i = 0; i < MEMTOOL_DRAIN_READINGS; ++i) {
    sleep_until(drained, figures.drain_waits_ms[i]);
    const std::uint64_t now = resident.exact().bytes;
    figures.after_drain_resident_bytes[i] = above(now, baseline);
  }
}

template <class S, class Given>
void heap(Serial<S, Given>& replayed) {
  auto& figures = replayed.template figures<HeapPassFigures>();
  const OwnPages sizes(std::max<std::uint64_t>(replayed.image.head.slots, 1) * sizeof(std::uint64_t));
  const std::uintptr_t slots = reinterpret_cast<std::uintptr_t>(replayed.slots.data());
  const std::uintptr_t region = reinterpret_cast<std::uintptr_t>(replayed.request.region);
  const AddressRange ours[] = {{region, region + replayed.request.region_bytes},
                               {slots, slots + std::max<std::uint64_t>(replayed.image.head.slots, 1) * sizeof(void*)},
                               sizes.range()};
  const HeapMapper mapper(ours);
  if (!sizes.mapped() || !mapper.ready()) return fail(replayed.result, MEMTOOL_BAD_REQUEST, "no memory for a heap map");
  // Otherwise the pages that the replay touches in it would count as the heap's.
  std::memset(sizes.base(), 0, replayed.image.head.slots * sizeof(std::uint64_t));
  const OwnStatistics own;
  const Resident resident(replayed.request.region, replayed.request.region_bytes, replayed.is_shared());
  replayed.region.reset();
  (void)resident.exact();
  const std::uint64_t baseline = resident.exact().bytes;
  if (!replayed.populate()) return;

  S strategy(replayed.region, replayed.given);
  HeapProbe probe(replayed.image.touch(), static_cast<std::uint64_t*>(sizes.base()));
  Replay<S, HeapProbe> replay(strategy, probe, replayed.slots.data(), {&replayed.pacer});
  const auto map = [&](std::uint64_t moment) {
    if (figures.maps == MEMTOOL_MOST_MAPS) return;
    HeapMap& next = figures.map[figures.maps++];
    next.moment = moment;
    map_heap(strategy, probe, replayed.slots.data(), replayed.image.head.slots, replayed.region, mapper, own, next);
    next.clock -= replayed.image.head.warm_operations;
  };
  const std::uint64_t* peak = replayed.image.begin + replayed.image.head.peak_live_word;
  MapStop mark = next_mark(replayed.image, replayed.image.begin);
  const std::uint64_t* at = replayed.run(replay, replayed.image.begin, replayed.image.body);
  replayed.pacer.begin(Clock(replayed.request.use_counter != 0).start());
  if (replay.out_of_memory()) return replayed.out_of_memory(strategy, at);
  for (bool peak_seen = false; at < replayed.image.epilogue;) {
    at = replayed.run(replay, at, peak_seen ? mark.at : std::min(peak, mark.at));
    if (replay.out_of_memory()) return replayed.out_of_memory(strategy, at);
    if (!peak_seen && at >= peak) {
      peak_seen = true;
      map(MEMTOOL_AT_PEAK);
    }
    if (at >= mark.at && mark.at < replayed.image.epilogue) {
      // One map is left for the end.
      if (figures.maps < MEMTOOL_MOST_MAPS - 1) map(mark.moment);
      mark = next_mark(replayed.image, mark.at + 1);
    }
  }
  map(MEMTOOL_AT_END);
  replayed.run(replay, at, replayed.image.end);
  if (replayed.detected_in(strategy)) return;
  read_after_drain(figures, resident, baseline);
  figures.own_after_drain = own_figures(strategy, own);
}

// The address and size of each live block, in the slots of lanes and in the cells through which blocks change lanes.
// The memory of this record is resident from the start.
class LaneBook {
 public:
  LaneBook(const ThreadImage& image, std::uint64_t peak_operation)
      : cells_(image.head.cells), peak_operation_(peak_operation), has_begun_(image.head.warm_lanes == 0) {
    for (std::uint64_t lane = 0; lane < image.head.lanes; ++lane)
      sizes_.push_back(std::make_unique<Table<std::uint64_t>>(image.lanes[lane].slots));
  }
  // Called after the warm-up, while no lane is in a replay. Returns true if live bytes never exceed their current
  // value.
  bool begin() noexcept {
    has_begun_ = true;
    operations_ = 0;
    return peak_operation_ == 0;
  }
  [[nodiscard]] bool mapped() const noexcept {
    return cells_.data() != nullptr &&
           std::ranges::all_of(sizes_, [](const auto& mapping) { return mapping->data() != nullptr; });
  }

  // Sizes are stored plus one, because a request may be for 0 bytes.
  void enter(const Lane& lane, std::uint32_t slot, std::uint64_t size) noexcept {
    sizes_[lane.number]->data()[slot] = size + 1;
    live_ += size;
  }
  void leave(const Lane& lane, std::uint32_t slot, std::uint64_t size) noexcept {
    sizes_[lane.number]->data()[slot] = 0;
    live_ -= size;
  }
  void publish(const Lane& lane, std::uint32_t slot, std::uint64_t cell) noexcept {
    cells_.data()[cell] = std::exchange(sizes_[lane.number]->data()[slot], 0);
  }
  void receive(const Lane& lane, std::uint32_t slot, std::uint64_t cell) noexcept {
    sizes_[lane.number]->data()[slot] = std::exchange(cells_.data()[cell], 0);
  }
  // Counts an operation. Returns true if live bytes peak after this one.
  bool count() noexcept { return ++operations_ == peak_operation_ && has_begun_; }

  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  [[nodiscard]] std::uint64_t live() const noexcept { return live_; }
  // Calls visit(block, size) for each live block. No other thread may be in the heap.
  template <class Visit>
  void for_each(const Lanes& lanes, const std::atomic<void*>* cells, Visit visit) const {
    for (const auto& lane : lanes.all()) {
      const std::uint64_t* sizes = sizes_[lane->number]->data();
      for (std::uint64_t slot = 0; slot < lane->entry.slots; ++slot)
        if (sizes[slot] != 0) visit(lane->slots.data()[slot], sizes[slot] - 1);
    }
    for (std::uint64_t cell = 0; cell < lanes.image().head.cells; ++cell)
      if (cells_.data()[cell] != 0) visit(cells[cell].load(std::memory_order_relaxed), cells_.data()[cell] - 1);
  }

 private:
  std::vector<std::unique_ptr<Table<std::uint64_t>>> sizes_;
  Table<std::uint64_t> cells_;
  std::uint64_t peak_operation_;
  bool has_begun_;
  std::atomic<std::uint64_t> operations_ = 0;
  std::atomic<std::uint64_t> live_ = 0;
};

// Calls `at_peak()` on the lane after whose operation live bytes peak.
template <class AtPeak>
class LaneHeapProbe : public PlainProbe {
 public:
  LaneHeapProbe(Touch touch, const Lane& lane, LaneBook& book, AtPeak at_peak) noexcept
      : touch_(touch), lane_(lane), book_(book), at_peak_(at_peak) {}

  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t, bool) noexcept {
    touch_block(touch_, block, size);
    book_.enter(lane_, slot, size);
    count();
  }
  void deallocating(std::uint32_t slot, void*, std::uint64_t size) noexcept {
    book_.leave(lane_, slot, size);
    count();
  }
  void reallocating(std::uint32_t slot, void*, std::uint64_t size) noexcept { book_.leave(lane_, slot, size); }
  void reallocated(std::uint32_t slot, void* block, std::uint64_t, std::uint64_t size, std::size_t) noexcept {
    touch_block(touch_, block, size);
    book_.enter(lane_, slot, size);
    count();
  }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept { return book_.live(); }
  void published(std::uint32_t slot, std::uint64_t cell) noexcept { book_.publish(lane_, slot, cell); }
  void received(std::uint32_t slot, std::uint64_t cell) noexcept { book_.receive(lane_, slot, cell); }

 private:
  void count() noexcept {
    if (book_.count()) at_peak_();
  }
  Touch touch_;
  const Lane& lane_;
  LaneBook& book_;
  AtPeak at_peak_;
};

// In lockstep there is a map of the peak. In parallel nobody knows its moment beforehand, and the other threads do not
// stop.
template <class S, class Given>
void heap(Threaded<S, Given>& replayed) {
  auto& figures = replayed.template figures<HeapPassFigures>();
  replayed.region.reset();
  replayed.clear_cells();
  LaneBook book(replayed.image,
                replayed.request.mode == MEMTOOL_LOCKSTEP ? replayed.image.head.peak_operation : ~std::uint64_t{0});
  const OwnPages stacks(replayed.image.head.lanes * Lanes::kStack);
  std::optional<S> strategy;
  std::function<void(std::uint64_t)> map;
  const auto at_peak = [&] { map(MEMTOOL_AT_PEAK); };
  const auto make_probe = [&](const Lane& lane) {
    return LaneHeapProbe<decltype(at_peak)>(replayed.image.touch(), lane, book, at_peak);
  };
  struct Work : LaneWork<S, decltype(make_probe)> {
    using LaneWork<S, decltype(make_probe)>::LaneWork;
    void body_began() noexcept override {
      if (book->begin()) (*map)(MEMTOOL_AT_PEAK);
    }
    void body_ended() noexcept override { (*map)(MEMTOOL_AT_END); }
    [[nodiscard]] bool holds_lanes() const noexcept override { return true; }
    std::function<void(std::uint64_t)>* map = nullptr;
    LaneBook* book = nullptr;
  };
  Work work(make_probe);
  Lanes lanes(replayed.image, replayed.request, replayed.cells.data(), work, stacks.mapped() ? &stacks : nullptr);
  // Everything that belongs to the harness must exist before, as in footprint().
  const std::uintptr_t region = reinterpret_cast<std::uintptr_t>(replayed.request.region);
  const AddressRange ours[] = {{region, region + replayed.request.region_bytes}, stacks.range()};
  const HeapMapper mapper(ours);
  if (!book.mapped() || !mapper.ready()) return fail(replayed.result, MEMTOOL_BAD_REQUEST, "no memory for a heap map");
  const OwnStatistics own;
  const Resident resident(replayed.request.region, replayed.request.region_bytes, replayed.is_shared());
  map = [&](std::uint64_t moment) {
    HeapMap& next = figures.map[figures.maps++];
    next.moment = moment;
    next.clock = book.operations();
    next.live_bytes = book.live();
    const auto live = [&](const HeapMapper::BlockReport& report) {
      book.for_each(lanes, replayed.cells.data(),
                    [&](const void* block, std::uint64_t size) { report(block, strategy->usable_size(block, size)); });
    };
    map_live_heap(*strategy, live, replayed.region, mapper, own, next);
  };
  (void)resident.exact();
  const std::uint64_t baseline = resident.exact().bytes;
  if (!replayed.populate()) return;
  strategy.emplace(replayed.region, replayed.given);
  work.set_heap(*strategy, replayed.region);
  work.map = &map;
  work.book = &book;
  if (!replayed.finish(lanes, work, *strategy)) return;
  read_after_drain(figures, resident, baseline);
  figures.own_after_drain = own_figures(*strategy, own);
}

}  // namespace memtool
