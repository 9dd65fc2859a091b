// The heap pass: what the heap looks like at the peak of live bytes, at marks and at the end, and what is given back
// when all is freed, at once and later. Untimed; a process of its own, because it waits.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <functional>

#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/instruments/own_statistics.hpp"
#include "engine/instruments/resident.hpp"
#include "engine/passes/heap_map.hpp"
#include "engine/passes/probes.hpp"

namespace memtool {

// Knows which slots hold a live block.
class HeapProbe : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;
  // `sizes`: one for each slot, zeroed.
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

// Where the replay stops for a map, and of what moment.
struct MapStop {
  const std::uint64_t* at;
  std::uint64_t moment;
};

// The next mark of the image in [at, end); at `end` when there is none.
inline MapStop next_mark(const std::uint64_t* at, const std::uint64_t* end) noexcept {
  for (; at < end; at += word::length(*at))
    if (word::kind(*at) == Kind::mark) return {at, word::slot(*at)};
  return {end, 0};
}

// What malloc says of itself is the strategy's only where it is malloc that serves.
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

// Sleeps until `milliseconds` after `start`, of the monotonic clock.
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

// Reads what is resident at once and a while after everything was freed, the program idle.
inline void read_after_drain(const ReplayRequest& request, const Resident& resident, std::uint64_t baseline,
                             ReplayResult& result) noexcept {
  timespec drained{};
  clock_gettime(CLOCK_MONOTONIC, &drained);
  for (std::size_t i = 0; i < MEMTOOL_DRAIN_READINGS; ++i) {
    sleep_until(drained, request.drain_waits_ms[i]);
    const std::uint64_t now = resident.exact().bytes;
    result.after_drain_resident[i] = now > baseline ? now - baseline : 0;
  }
}

}  // namespace memtool
