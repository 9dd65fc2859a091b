// A replay on one thread.
#pragma once

#include <cstdint>
#include <string>

#include "engine/instruments/clock.hpp"
#include "engine/instruments/pages.hpp"
#include "engine/replay/failure.hpp"
#include "engine/replay/frame.hpp"
#include "engine/replay/image.hpp"
#include "engine/replay/replay.hpp"

namespace memtool {

template <class S, class Given>
struct Serial : Frame<S, Given> {
  Serial(const Given& made_of, const ReplayRequest& what, ReplayResult& answer)
      : Frame<S, Given>(made_of, what, answer), image(what), slots(image.head.slots) {}

  // Whether there is memory for the tables of the replay; else the sample has failed.
  bool ready() {
    if (slots.data() != nullptr) return true;
    fail(this->result, MEMTOOL_BAD_REQUEST, "no memory for a slot table of %llu objects", as_printed(image.head.slots));
    return false;
  }

  // A new strategy on an emptied region replays everything once, and takes its place in the result where it is to be
  // kept. The region's pages stay resident from one replay to the next, and a strategy over malloc finds the heap as
  // the last replay left it. `make_probe()` gives the probe of a replay.
  template <class MakeProbe>
  bool replay_once(MakeProbe make_probe, const Kept& kept) {
    const Clock clock(this->request.use_counter != 0);
    this->region.reset();
    S strategy(this->region, this->given);
    auto probe = make_probe();
    Replay<S, decltype(probe)> replay(strategy, probe, slots.data());
    const std::uint64_t cpu_before = Clock::process_cpu_nanoseconds();
    const std::uint64_t start = clock.start();
    const std::uint64_t* stopped = replay.run(image.begin, image.epilogue);
    const std::uint64_t middle = clock.stop();
    const std::uint64_t cpu_after = Clock::process_cpu_nanoseconds();
    if (replay.out_of_memory()) {
      out_of_memory(strategy, stopped);
      return false;
    }
    const std::uint64_t resumed = clock.start();
    replay.run(stopped, image.end);
    const std::uint64_t end = clock.stop();
    if (this->detected_in(strategy)) return false;
    if (kept.timings == nullptr) return true;
    const std::uint64_t i = kept.timings->iterations++;
    kept.timings->body_ticks[i] = middle - start;
    kept.timings->epilogue_ticks[i] = end - resumed;
    kept.timings->cpu_ns[i] = cpu_after - cpu_before;
    return true;
  }

  void out_of_memory(const S& strategy, const std::uint64_t* at) {
    if (this->detected_in(strategy)) return;  // which is why
    std::uint64_t operation = 0;
    std::uint64_t live = 0;
    for (const std::uint64_t* word = image.begin; word < at;) {
      const Kind kind = word::kind(*word);
      const Change change = change_of(word);
      live += change.asked - change.freed;
      operation += kind != Kind::scope_begin && kind != Kind::scope_end && kind != Kind::mark && kind != Kind::write;
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
  // The blocks that live, resident from the start and never part of what is measured.
  Table<void*> slots;
};

}  // namespace memtool
