// A replay on one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "engine/instruments/clock.hpp"
#include "engine/instruments/pages.hpp"
#include "engine/replay/failure.hpp"
#include "engine/replay/frame.hpp"
#include "engine/replay/image.hpp"
#include "engine/replay/pacer.hpp"
#include "engine/replay/replay.hpp"
#include "engine/replay/window.hpp"

namespace memtool {

template <class S, class Given>
struct Serial : Frame<S, Given> {
  Serial(const Given& made_of, const ReplayRequest& call, ReplayResult& answer)
      : Frame<S, Given>(made_of, call, answer),
        image(call),
        slots(image.head.slots),
        window(call.image, call.image_bytes, call.image_window, Clock(call.use_counter != 0)),
        pacer(Clock(call.use_counter != 0), call.is_paced != 0 ? call.ticks_per_ns * 1000 : 0) {}

  // Allocates the tables of the replay. If there is no memory for them, the sample has failed, and the result is false.
  bool ready() {
    if (slots.data() != nullptr) return true;
    fail(this->result, MEMTOOL_BAD_REQUEST, "no memory for a slot table of %llu objects", as_printed(image.head.slots));
    return false;
  }

  // Replays up to `end`. An image on a disk is replayed window by window.
  template <class Replaying>
  const std::uint64_t* run(Replaying& replay, const std::uint64_t* at, const std::uint64_t* end) noexcept {
    if (window.is_whole()) return replay.run(at, end);
    while (at < end && !replay.out_of_memory()) at = replay.run(at, std::min(end, window.show(at)));
    return at;
  }

  // The part of a replay's time that was spent on neither the allocator nor the loop: reading the image, and waiting.
  [[nodiscard]] std::uint64_t idle_ticks() const noexcept { return window.cost().ticks + pacer.waited(); }
  [[nodiscard]] std::uint64_t idle_cpu_ns() const noexcept { return window.cost().cpu_ns + pacer.waited_cpu_ns(); }

  // A new strategy on an emptied region replays everything once. The result keeps the replay if it is to be kept. The
  // region's pages stay resident from one replay to the next, and a strategy over malloc finds the heap as the last
  // replay left it. `make_probe()` makes the probe of a replay.
  template <class MakeProbe>
  bool replay_once(MakeProbe make_probe, const Kept& kept) {
    const Clock clock(this->request.use_counter != 0);
    this->region.reset();
    S strategy(this->region, this->given);
    auto probe = make_probe();
    Replay<S, decltype(probe)> replay(strategy, probe, slots.data(), {kept.timings == nullptr ? nullptr : &pacer});
    const std::uint64_t* stopped = run(replay, image.begin, image.body);
    const std::uint64_t idle_before = idle_ticks();
    const std::uint64_t cpu_before = Clock::process_cpu_nanoseconds() - idle_cpu_ns();
    const std::uint64_t start = clock.start();
    pacer.begin(start);
    stopped = run(replay, stopped, image.epilogue);
    const std::uint64_t middle = clock.stop();
    const std::uint64_t idle = idle_ticks() - idle_before;
    const std::uint64_t cpu_after = Clock::process_cpu_nanoseconds() - idle_cpu_ns();
    if (replay.out_of_memory()) {
      out_of_memory(strategy, stopped);
      return false;
    }
    const std::uint64_t resumed = clock.start();
    run(replay, stopped, image.end);
    const std::uint64_t end = clock.stop() - (idle_ticks() - idle_before - idle);
    if (this->detected_in(strategy)) return false;
    if (kept.timings == nullptr) return true;
    const std::uint64_t i = kept.timings->iterations++;
    kept.timings->body_ticks[i] = middle - start - idle;
    kept.timings->epilogue_ticks[i] = end - resumed;
    kept.timings->cpu_ns[i] = above(cpu_after, cpu_before);
    kept.timings->late_ticks = pacer.late();
    return true;
  }

  void out_of_memory(const S& strategy, const std::uint64_t* at) {
    if (this->detected_in(strategy)) return;  // which is why
    std::uint64_t operation = 0;
    std::uint64_t live = 0;
    for (const std::uint64_t* word = image.begin; word < at;) {
      const Change change = change_of(word);
      live += change.requested - change.freed;
      operation += word::is_operation(*word);
      word += word::length(*word);
    }
    this->result.failed_operation = operation;
    this->result.failed_size = requested_size(at);
    fail(this->result, MEMTOOL_OUT_OF_MEMORY, "out of memory at event %llu, for a request of %llu bytes%s",
         as_printed(operation), as_printed(this->result.failed_size),
         state_in_words(std::to_string(live) + " bytes live", state_of(strategy, this->region), this->region,
                        this->on_region())
             .c_str());
  }

  Image image;
  // The live blocks. This table is resident from the start and never part of what is measured.
  Table<void*> slots;
  ImageWindow window;
  Pacer pacer;
};

}  // namespace memtool
