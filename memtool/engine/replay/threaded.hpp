// A replay on several threads.
//
// In lockstep, real threads replay in the recorded total order, one at a time. In parallel, each thread runs as fast as
// it can and waits only for objects that another thread has yet to hand over. The time of the replay is from the start
// of the first thread to the end of the last.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "engine/instruments/pages.hpp"
#include "engine/replay/failure.hpp"
#include "engine/replay/frame.hpp"
#include "engine/replay/image.hpp"
#include "engine/replay/lanes.hpp"
#include "engine/replay/replay.hpp"

namespace memtool {

// Replays the words of lanes; `make_probe(lane)` makes the probe of each lane.
template <class S, class MakeProbe>
class LaneWork : public Lanes::Work {
 public:
  explicit LaneWork(MakeProbe make_probe) : make_probe_(make_probe) {}
  void set_heap(S& strategy, const Region& region) noexcept {
    strategy_ = &strategy;
    region_ = &region;
  }

  void run(Lane& lane, Lanes& lanes) noexcept override {
    std::uint32_t turn = 0;
    const bool began = lanes.image().head.warm_lanes == 0 || warm(lane, lanes, turn);
    auto&& probe = make_probe_(lane);
    const bool finished = began && replay_part(probe, lane, lanes, lane.entry.body_words - lane.entry.warm_words, turn);
    if constexpr (requires { probe.body_ended(); }) probe.body_ended();
    lanes.end_body(lane);
    if (!finished) return;
    const std::uint64_t rest = lane.entry.words - lane.entry.body_words;
    if constexpr (requires { probe.unrecorded(Touch::none); }) {
      auto unrecorded = probe.unrecorded(Touch::none);
      replay_part(unrecorded, lane, lanes, rest, turn);
    } else {
      replay_part(probe, lane, lanes, rest, turn);
    }
  }

  // The first lane whose request could not be served, and the state of the heap at that moment, read before any other
  // lane can notice the failure. In parallel the other lanes continue meanwhile.
  struct Failure {
    const Lane* lane = nullptr;  // nullptr: none failed
    const std::uint64_t* at = nullptr;
    HeapState state;
    std::uint64_t live = kNotApplicable;  // bytes of all lanes, if the pass counts them
  };
  // Call this once all lanes have ended.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
  // Replays the warm-up. Returns false if the replay was given up.
  [[gnu::noinline]] bool warm(Lane& lane, Lanes& lanes, std::uint32_t& turn) noexcept {
    using Probe = std::remove_cvref_t<std::invoke_result_t<MakeProbe&, Lane&>>;
    const std::uint64_t words = lane.entry.warm_words;
    if constexpr (requires { Probe::unrecorded(Touch::none); }) {
      auto unrecorded = Probe::unrecorded(lanes.image().touch());
      (void)replay_part(unrecorded, lane, lanes, words, turn);
    } else {
      auto&& probe = make_probe_(lane);
      (void)replay_part(probe, lane, lanes, words, turn);
    }
    return lanes.begin_body(lane);
  }

  // In lockstep the words come in runs, each in its turn.
  template <class Probe>
  bool replay_part(Probe& probe, Lane& lane, Lanes& lanes, std::uint64_t words, std::uint32_t& turn) noexcept {
    Replay<S, Probe, LaneExchange> replay(*strategy_, probe, lane.slots.data(), LaneExchange(lane, lanes));
    if (!lanes.lockstep()) return replay_words(replay, probe, lane, lanes, words);
    while (words > 0) {
      const std::uint64_t run = lanes.await_turn(lane, turn);
      if (run == Lanes::kNoRun) return false;
      turn = static_cast<std::uint32_t>(run + 1);
      const std::uint64_t now = lanes.image().runs[run].words();
      if (!replay_words(replay, probe, lane, lanes, now)) return false;
      lanes.pass_turn(run);
      words -= now;
    }
    return true;
  }

  template <class Replaying, class Probe>
  bool replay_words(Replaying& replay, const Probe& probe, Lane& lane, Lanes& lanes, std::uint64_t words) noexcept {
    while (words > 0) {
      const Cursor::Piece piece = lane.cursor.piece(words);
      const std::uint64_t* stopped = replay.run(piece.begin, piece.end);
      if (stopped != piece.end) {
        if (replay.out_of_memory() && !has_failed_.exchange(true)) note_failure(probe, lane, stopped);
        lanes.give_up();
        return false;
      }
      lane.cursor.move(piece.end);
      words -= static_cast<std::uint64_t>(piece.end - piece.begin);
    }
    return true;
  }

  template <class Probe>
  [[gnu::noinline]] void note_failure(const Probe& probe, const Lane& lane, const std::uint64_t* at) noexcept {
    failure_ = {.lane = &lane, .at = at, .state = state_of(*strategy_, *region_)};
    // If a resize fails, its block has already left the books although it is still live.
    if constexpr (requires { probe.live_bytes(); })
      failure_.live = probe.live_bytes() + (word::kind(*at) == Kind::reallocate ? at[2] : 0);
  }

  S* strategy_ = nullptr;
  const Region* region_ = nullptr;
  MakeProbe make_probe_;
  std::atomic<bool> has_failed_ = false;
  Failure failure_;
};

template <class S, class Given>
struct Threaded : Frame<S, Given> {
  Threaded(const Given& made_of, const ReplayRequest& call, ReplayResult& answer)
      : Frame<S, Given>(made_of, call, answer), image(call), cells(image.head.cells) {}

  // Allocates the tables of the replay. If there is no memory for them, the sample has failed, and the result is false.
  bool ready() {
    if (cells.data() != nullptr) return true;
    fail(this->result, MEMTOOL_BAD_REQUEST, "no memory for %llu objects that change threads",
         as_printed(image.head.cells));
    return false;
  }

  // Like Serial::replay_once(); `make_probe(lane)` makes the probe of each lane.
  template <class MakeProbe>
  bool replay_once(MakeProbe make_probe, const Kept& kept) {
    this->region.reset();
    clear_cells();
    S strategy(this->region, this->given);
    LaneWork<S, MakeProbe> work(make_probe);
    work.set_heap(strategy, this->region);
    Lanes lanes(image, this->request, cells.data(), work, nullptr, kept.timings != nullptr);
    if (!finish(lanes, work, strategy)) return false;
    if (kept.timings == nullptr) return true;
    const std::uint64_t i = kept.timings->iterations++;
    kept.timings->body_ticks[i] = lanes.body_ticks();
    kept.timings->epilogue_ticks[i] = lanes.epilogue_ticks();
    kept.timings->cpu_ns[i] = lanes.body_cpu_ns();
    kept.timings->wait_ticks[i] = lanes.wait_ticks();
    kept.timings->late_ticks = std::max(kept.timings->late_ticks, lanes.late_ticks());
    for (const auto& lane : lanes.all())
      kept.threads[lane->number] = {.operations = lane->entry.body_operations,
                                    .remote_deallocations = lane->entry.remote_deallocations,
                                    .body_ticks = lane->body_end - lane->body_start,
                                    .wait_ticks = lane->wait_ticks};
    return true;
  }

  void clear_cells() noexcept { std::memset(static_cast<void*>(cells.data()), 0, image.head.cells * sizeof(Cell)); }

  // Runs the lanes to their end, and reports any failure.
  template <class Work>
  bool finish(Lanes& lanes, const Work& work, const S& strategy) {
    const bool started = lanes.run();
    this->result.own_switches += lanes.own_switches();
    if (!started) {
      fail(this->result, MEMTOOL_BAD_REQUEST, "a thread could not be made: %s", std::strerror(EAGAIN));
      return false;
    }
    if (this->detected_in(strategy)) return false;
    const auto& failure = work.failure();
    if (failure.lane == nullptr) return true;
    const Lane& lane = *failure.lane;
    const std::uint64_t* at = failure.at;
    std::uint64_t operation = 0;
    Change own;
    visit_words(lane, at, [&](const std::uint64_t* word) {
      operation += word::is_operation(*word);
      add(own, change_of(word));
    });
    this->result.failed_operation = operation;
    this->result.failed_size = requested_size(at);
    const std::string live = live_in_words(lanes, failure, own);
    const std::string state = state_in_words(live, failure.state, this->region, this->on_region());
    fail(this->result, MEMTOOL_OUT_OF_MEMORY,
         "out of memory at event %llu of thread %u, for a request of %llu bytes%s%s", as_printed(operation),
         lane.number, as_printed(this->result.failed_size), state.c_str(),
         lanes.lockstep() ? "" : " (other threads went on meanwhile)");
    return false;
  }

  using Cell = std::atomic<void*>;
  ThreadImage image;
  Table<Cell> cells;

 private:
  // Describes what was live when a lane failed. In lockstep all other lanes stood still, so it follows from the events
  // before. In parallel, either the pass has counted it, or only the requests and frees of the lane itself are known.
  template <class Failure>
  [[nodiscard]] std::string live_in_words(const Lanes& lanes, const Failure& failure, Change own) const {
    std::uint64_t live = failure.live;
    if (lanes.lockstep()) {
      Change all = own;
      for (const auto& other : lanes.all())
        if (other.get() != failure.lane)
          visit_words(*other, other->cursor.at(), [&](const std::uint64_t* word) { add(all, change_of(word)); });
      live = all.requested - all.freed;
    }
    if (live != kNotApplicable) return std::to_string(live) + " bytes live";
    return "the thread itself had asked for " + std::to_string(own.requested) + " bytes and freed " +
           std::to_string(own.freed);
  }

  static void add(Change& sum, Change change) noexcept {
    sum.requested += change.requested;
    sum.freed += change.freed;
  }

  // Visits the words of a lane before `at`.
  template <class Visit>
  void visit_words(const Lane& lane, const std::uint64_t* at, Visit visit) const {
    Cursor cursor(image, lane.entry);
    for (bool reached = false; !reached;) {
      const Cursor::Piece piece = cursor.piece(~std::uint64_t{0});
      const std::uint64_t* word = piece.begin;
      for (; word < piece.end && word != at; word += thread_word_length(*word)) visit(word);
      reached = word == at || piece.begin == piece.end;
      cursor.move(piece.end);
    }
  }
  static std::size_t thread_word_length(std::uint64_t word) noexcept {
    if (word::kind(word) == Kind::handover) return handover::act(word) == handover::Act::receive ? 2 : 1;
    return word::length(word);
  }
};

}  // namespace memtool
