// One strategy through one pass on several threads: what engine/replay/runner.hpp does on one.
//
// In lockstep real threads replay in the recorded total order, one at a time. In parallel each goes on as fast as it
// can, and waits only for an object that another thread has yet to hand over; the time of the replay is that from the
// start of the first thread to the end of the last.
#pragma once

#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "engine/instruments/system_calls.hpp"
#include "engine/passes/lane_passes.hpp"
#include "engine/passes/pass.hpp"
#include "engine/replay/lanes.hpp"

namespace memtool {

// The check pass on a thread: tells the parent, which may have to kill this process, what it is about to do.
template <class S>
class LaneCheckProbe : public CheckProbe<S> {
 public:
  LaneCheckProbe(const S& strategy, const Region& region, bool on_region, CheckBook& book, ThreadPlace& place) noexcept
      : CheckProbe<S>(strategy, region, on_region, book), place_(place) {}

  template <class Operation>
  void* allocate(Operation operation) noexcept {
    const Inside inside(place_, MEMTOOL_THREAD_ALLOCATE);
    return CheckProbe<S>::allocate(operation);
  }
  template <class Operation>
  void* reallocate(Operation operation) noexcept {
    const Inside inside(place_, MEMTOOL_THREAD_REALLOCATE);
    return CheckProbe<S>::reallocate(operation);
  }
  template <class Operation>
  void deallocate(Operation operation) noexcept {
    const Inside inside(place_, MEMTOOL_THREAD_DEALLOCATE);
    CheckProbe<S>::deallocate(operation);
  }

 private:
  class Inside {
   public:
    Inside(ThreadPlace& place, std::uint64_t at) noexcept : place_(place) { set(at); }
    ~Inside() {
      set(MEMTOOL_THREAD_REPLAY);
      std::atomic_ref operations(place_.operations);
      operations.store(operations.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    void set(std::uint64_t at) noexcept { std::atomic_ref(place_.at).store(at, std::memory_order_relaxed); }
    ThreadPlace& place_;
  };
  ThreadPlace& place_;
};

// The footprint pass on several threads: one account for all, which each enters in turn. Nothing is timed here.
template <class S>
class SharedFootprint {
 public:
  // `row(operations, live)` is called with the account closed to others, after an operation that is a checkpoint's.
  SharedFootprint(FootprintProbe<S>& probe, std::uint64_t every, std::uint64_t peak_operation)
      : probe_(probe), every_(every), next_(every), peak_operation_(peak_operation) {}
  virtual ~SharedFootprint() = default;

  template <class Entry>
  void enter(Entry entry) noexcept {
    const std::scoped_lock lock(mutex_);
    entry(probe_);
    if (probe_.operations() == peak_operation_) at_peak();
    if (probe_.operations() < next_) return;
    next_ += every_;
    checkpoint();
  }
  [[nodiscard]] std::uint64_t live_bytes() noexcept {
    const std::scoped_lock lock(mutex_);
    return probe_.live();
  }

 protected:
  virtual void checkpoint() noexcept = 0;
  virtual void at_peak() noexcept = 0;
  FootprintProbe<S>& probe_;

 private:
  std::mutex mutex_;
  std::uint64_t every_;
  std::uint64_t next_;
  std::uint64_t peak_operation_;
};

template <class S>
class LaneFootprintProbe : public PlainProbe {
 public:
  explicit LaneFootprintProbe(SharedFootprint<S>& account) noexcept : account_(account) {}
  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t alignment, bool zeroed) noexcept {
    account_.enter([&](auto& probe) { probe.allocated(slot, block, size, alignment, zeroed); });
  }
  void deallocating(std::uint32_t slot, void* block, std::uint64_t size) noexcept {
    account_.enter([&](auto& probe) { probe.deallocating(slot, block, size); });
  }
  void reallocating(std::uint32_t slot, void* block, std::uint64_t size) noexcept {
    account_.enter([&](auto& probe) { probe.reallocating(slot, block, size); });
  }
  void moving(void* block, std::uint64_t size) noexcept {
    account_.enter([&](auto& probe) { probe.moving(block, size); });
  }
  void reallocated(std::uint32_t slot, void* block, std::uint64_t old_size, std::uint64_t new_size,
                   std::size_t alignment) noexcept {
    account_.enter([&](auto& probe) { probe.reallocated(slot, block, old_size, new_size, alignment); });
  }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept { return account_.live_bytes(); }

 private:
  SharedFootprint<S>& account_;
};

// Replays the words of lanes; `make_probe(lane)` gives each its probe.
template <class S, class MakeProbe>
class LaneWork : public Lanes::Work {
 public:
  explicit LaneWork(MakeProbe make_probe) : make_probe_(make_probe) {}
  void set_heap(S& strategy, const Region& region) noexcept {
    strategy_ = &strategy;
    region_ = &region;
  }

  void run(Lane& lane, Lanes& lanes) noexcept override {
    auto&& probe = make_probe_(lane);
    std::uint32_t turn = 0;
    const bool finished = replay_part(probe, lane, lanes, lane.entry.body_words, turn);
    if constexpr (requires { probe.body_ended(); }) probe.body_ended();
    lanes.end_body(lane);
    if (!finished) return;
    const std::uint64_t rest = lane.entry.words - lane.entry.body_words;
    if constexpr (requires { probe.of_epilogue(); }) {
      auto unrecorded = probe.of_epilogue();
      replay_part(unrecorded, lane, lanes, rest, turn);
    } else {
      replay_part(probe, lane, lanes, rest, turn);
    }
  }

  // The first lane whose request could not be served, and how the heap stood then: read before any other lane can see
  // that it failed. In parallel the others go on meanwhile.
  struct Failure {
    const Lane* lane = nullptr;  // nullptr: none failed
    const std::uint64_t* at = nullptr;
    HeapState state;
    std::uint64_t live = kNotApplicable;  // bytes of all lanes, in a pass that counts them
  };
  // Once all lanes have ended.
  [[nodiscard]] const Failure& failure() const noexcept { return failure_; }

 private:
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
    // The block of a resize that fails has left the books, and lives.
    if constexpr (requires { probe.live_bytes(); })
      failure_.live = probe.live_bytes() + (word::kind(*at) == Kind::reallocate ? at[2] : 0);
  }

  S* strategy_ = nullptr;
  const Region* region_ = nullptr;
  MakeProbe make_probe_;
  std::atomic<bool> has_failed_ = false;
  Failure failure_;
};

// `Given` is what the heap is made of, see Runner.
template <class S, class Given>
class ThreadRunner {
 public:
  ThreadRunner(const Given& given, const ReplayRequest& request, ReplayResult& result)
      : given_(given),
        request_(request),
        result_(result),
        image_(request.image),
        region_(request.region, request.region_bytes, (request.region_flags & MEMTOOL_REGION_SHARED) != 0),
        cells_(image_.head.cells) {}

  void run() {
    if (cells_.data() == nullptr) {
      fail(result_, MEMTOOL_BAD_REQUEST, "no memory for %llu objects that change threads",
           as_printed(image_.head.cells));
      return;
    }
    switch (request_.pass) {
      case MEMTOOL_CHECK:
        return check();
      case MEMTOOL_THROUGHPUT:
        return throughput();
      case MEMTOOL_LATENCY:
        return latency();
      case MEMTOOL_FOOTPRINT:
        return footprint();
      case MEMTOOL_COUNTERS:
        return counters();
      case MEMTOOL_HEAP:
        return heap();
      case MEMTOOL_CALLS:
        return calls();
      default:
        fail(result_, MEMTOOL_BAD_REQUEST, "unknown pass %u", request_.pass);
    }
  }

 private:
  using Cell = std::atomic<void*>;
  [[nodiscard]] bool on_region() const { return is_on_region<S>(given_); }

  void throughput() {
    if (!populate_region(request_, result_)) return;
    const auto make_probe = [&](const Lane&) { return ThroughputProbe<true>(image_.touch()); };
    for (std::uint32_t i = 0; i < request_.warmups; ++i)
      if (!replay_once(make_probe, false)) return;
    for (std::uint32_t i = 0; i < request_.iterations; ++i)
      if (!replay_once(make_probe, true)) return;
  }

  void latency() {
    if (!populate_region(request_, result_)) return;
    const auto plain = [&](const Lane&) { return ThroughputProbe<true>(image_.touch()); };
    for (std::uint32_t i = 0; i < request_.warmups; ++i)
      if (!replay_once(plain, false)) return;
    Histograms histograms(request_);
    const auto make_probe = [&](const Lane& lane) {
      return PooledLatencyProbe(histograms, lane.number, image_.touch(), request_.use_counter != 0);
    };
    for (std::uint32_t i = 0; i < request_.iterations; ++i)
      if (!replay_once(make_probe, true)) return;
    histograms.add_up(result_.histogram_maximum);
  }

  // Where the lanes record their latencies: the first ones each for itself, the others in sets that they take and give
  // back, so that a thousand short threads need no more sets than run at once.
  class Histograms {
   public:
    static constexpr std::size_t kCounts = MEMTOOL_HISTOGRAMS * Histogram::kBuckets;
    explicit Histograms(const ReplayRequest& request) noexcept : request_(request) {}

    std::uint64_t* take(std::uint32_t lane) {
      if (lane < request_.thread_histogram_count) return request_.thread_histograms + lane * kCounts;
      const std::scoped_lock lock(mutex_);
      if (free_.empty()) {
        sets_.push_back(std::make_unique<Table<std::uint64_t>>(kCounts));
        return sets_.back()->data();
      }
      std::uint64_t* set = free_.back();
      free_.pop_back();
      return set;
    }
    void give_back(std::uint32_t lane, std::uint64_t* set, const LatencyProbe& probe) {
      const std::scoped_lock lock(mutex_);
      if (lane >= request_.thread_histogram_count) free_.push_back(set);
      std::uint64_t maxima[MEMTOOL_HISTOGRAMS];
      probe.write_maxima(maxima);
      for (std::size_t i = 0; i < MEMTOOL_HISTOGRAMS; ++i) maxima_[i] = std::max(maxima_[i], maxima[i]);
    }
    // Adds all sets into the request's, and the frees of other threads' blocks to all frees.
    void add_up(std::uint64_t* maxima) const noexcept {
      for (std::uint32_t lane = 0; lane < request_.thread_histogram_count; ++lane)
        add(request_.thread_histograms + lane * kCounts);
      for (const auto& set : sets_) add(set->data());
      std::copy(maxima_.begin(), maxima_.end(), maxima);
      std::uint64_t* all = request_.histograms + MEMTOOL_HISTOGRAM_DEALLOCATE * Histogram::kBuckets;
      const std::uint64_t* remote = request_.histograms + MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE * Histogram::kBuckets;
      for (std::size_t i = 0; i < Histogram::kBuckets; ++i) all[i] += remote[i];
      maxima[MEMTOOL_HISTOGRAM_DEALLOCATE] =
          std::max(maxima[MEMTOOL_HISTOGRAM_DEALLOCATE], maxima[MEMTOOL_HISTOGRAM_REMOTE_DEALLOCATE]);
    }

   private:
    void add(const std::uint64_t* set) const noexcept {
      for (std::size_t i = 0; i < kCounts; ++i) request_.histograms[i] += set[i];
    }
    const ReplayRequest& request_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<Table<std::uint64_t>>> sets_;
    std::vector<std::uint64_t*> free_;
    std::array<std::uint64_t, MEMTOOL_HISTOGRAMS> maxima_{};
  };

  class PooledLatencyProbe : public LatencyProbe {
   public:
    PooledLatencyProbe(Histograms& histograms, std::uint32_t lane, Touch touch, bool use_counter)
        : PooledLatencyProbe(histograms, lane, touch, use_counter, histograms.take(lane)) {}
    ~PooledLatencyProbe() { histograms_.give_back(lane_, set_, *this); }
    PooledLatencyProbe(const PooledLatencyProbe&) = delete;
    PooledLatencyProbe& operator=(const PooledLatencyProbe&) = delete;
    [[nodiscard]] ThroughputProbe<true> of_epilogue() const noexcept { return ThroughputProbe<true>(Touch::none); }

   private:
    PooledLatencyProbe(Histograms& histograms, std::uint32_t lane, Touch touch, bool use_counter, std::uint64_t* set)
        : LatencyProbe(touch, use_counter, set), histograms_(histograms), lane_(lane), set_(set) {}
    Histograms& histograms_;
    std::uint32_t lane_;
    std::uint64_t* set_;
  };

  // As Runner::replay_once().
  template <class MakeProbe>
  bool replay_once(MakeProbe make_probe, bool keep) {
    region_.reset();
    clear_cells();
    S strategy(region_, given_);
    LaneWork<S, MakeProbe> work(make_probe);
    work.set_heap(strategy, region_);
    Lanes lanes(image_, request_, cells_.data(), work);
    if (!finish(lanes, work, strategy)) return false;
    if (!keep) return true;
    const std::uint32_t i = result_.iterations++;
    result_.body_ticks[i] = lanes.body_ticks();
    result_.epilogue_ticks[i] = lanes.epilogue_ticks();
    result_.cpu_ns[i] = lanes.body_cpu_ns();
    result_.wait_ticks[i] = lanes.wait_ticks();
    for (const auto& lane : lanes.all())
      request_.threads[lane->number] = {.operations = lane->entry.body_operations,
                                        .remote_deallocations = lane->entry.remote_deallocations,
                                        .body_ticks = lane->body_end - lane->body_start,
                                        .wait_ticks = lane->wait_ticks};
    return true;
  }

  void clear_cells() noexcept { std::memset(static_cast<void*>(cells_.data()), 0, image_.head.cells * sizeof(Cell)); }

  // Runs the lanes to their end, and says what went wrong.
  template <class Work>
  bool finish(Lanes& lanes, const Work& work, const S& strategy) {
    const bool made = lanes.run();
    result_.own_switches += lanes.own_switches();
    if (!made) {
      fail(result_, MEMTOOL_BAD_REQUEST, "a thread could not be made: %s", std::strerror(EAGAIN));
      return false;
    }
    if (has_detected(strategy, result_)) return false;
    const auto& failure = work.failure();
    if (failure.lane == nullptr) return true;
    const Lane& lane = *failure.lane;
    const std::uint64_t* at = failure.at;
    std::uint64_t operation = 0;
    Change own;
    visit_words(lane, at, [&](const std::uint64_t* word) {
      operation += is_operation(*word);
      add(own, change_of(word));
    });
    const Kind kind = word::kind(*at);
    const bool short_form = kind == Kind::allocate || kind == Kind::allocate_zeroed;
    result_.failed_operation = operation;
    result_.failed_size = short_form ? word::size(*at) : word::wide_size(at[1]);
    const std::string live = live_in_words(lanes, failure, own);
    const std::string state = state_in_words(live, failure.state, region_, on_region());
    fail(result_, MEMTOOL_OUT_OF_MEMORY, "out of memory at event %llu of thread %u, for a request of %llu bytes%s%s",
         as_printed(operation), lane.number, as_printed(result_.failed_size), state.c_str(),
         lanes.lockstep() ? "" : " (other threads went on meanwhile)");
    return false;
  }

  // What lived when a lane failed. In lockstep all others stood still, so that it follows from the events before; in
  // parallel the pass has counted it, or only what the lane itself had asked for and given back is known.
  template <class Failure>
  [[nodiscard]] std::string live_in_words(const Lanes& lanes, const Failure& failure, Change own) const {
    std::uint64_t live = failure.live;
    if (lanes.lockstep()) {
      Change all = own;
      for (const auto& other : lanes.all())
        if (other.get() != failure.lane)
          visit_words(*other, other->cursor.at(), [&](const std::uint64_t* word) { add(all, change_of(word)); });
      live = all.asked - all.freed;
    }
    if (live != kNotApplicable) return std::to_string(live) + " bytes live";
    return "the thread itself had asked for " + std::to_string(own.asked) + " bytes and freed " +
           std::to_string(own.freed);
  }

  static void add(Change& sum, Change change) noexcept {
    sum.asked += change.asked;
    sum.freed += change.freed;
  }

  // Visits the words of a lane before `at`.
  template <class Visit>
  void visit_words(const Lane& lane, const std::uint64_t* at, Visit visit) const {
    Cursor cursor(image_, lane.entry);
    for (bool found = false; !found;) {
      const Cursor::Piece piece = cursor.piece(~std::uint64_t{0});
      const std::uint64_t* word = piece.begin;
      for (; word < piece.end && word != at; word += thread_word_length(*word)) visit(word);
      found = word == at || piece.begin == piece.end;
      cursor.move(piece.end);
    }
  }
  static std::size_t thread_word_length(std::uint64_t word) noexcept {
    if (word::kind(word) == Kind::handover) return handover::act(word) == handover::Act::receive ? 2 : 1;
    return word::length(word);
  }
  static bool is_operation(std::uint64_t word) noexcept {
    return word::kind(word) != Kind::handover && word::kind(word) != Kind::write && word::kind(word) != Kind::mark;
  }

  // As Runner::counters(): what the lanes execute, less what they do while they wait for each other.
  void counters() {
    const InstructionCounter trial(request_.counter);
    if (trial.refusal() != nullptr)
      return fail(result_, MEMTOOL_BAD_REQUEST, "instructions cannot be counted: %s", trial.refusal());
    if (!populate_region(request_, result_)) return;
    const auto plain = [&](const Lane&) { return ThroughputProbe<true>(image_.touch()); };
    for (std::uint32_t i = 0; i < request_.warmups; ++i)
      if (!replay_once(plain, false)) return;
    std::atomic<std::uint64_t> total = 0;
    const auto counted = [&](Lane& lane) { return CountedProbe(image_.touch(), lane, request_.counter, total); };
    if (request_.counter == MEMTOOL_COUNTER_CALLGRIND) InstructionCounter::instrument();
    (void)replay_once(counted, false);
    if (request_.counter == MEMTOOL_COUNTER_CALLGRIND) InstructionCounter::stop_instrumenting();
    result_.instructions = total;
  }

  // Cold, as Runner::calls(). The threads that begin by themselves are there before the count begins, and all have
  // stacks of ours: what making a thread asks the kernel for is not the allocator's.
  void calls() {
    region_.reset();
    clear_cells();
    S strategy(region_, given_);
    const auto make_probe = [&](const Lane&) { return ThroughputProbe<true>(image_.touch()); };
    struct Work : LaneWork<S, decltype(make_probe)> {
      using LaneWork<S, decltype(make_probe)>::LaneWork;
      void about_to_begin() noexcept override { counter.emplace(socket); }
      void body_ended() noexcept override { SystemCallCounter::stop(); }
      int socket = -1;
      std::optional<SystemCallCounter> counter;
    };
    Work work(make_probe);
    work.set_heap(strategy, region_);
    work.socket = request_.system_calls_socket;
    const OwnPages stacks(image_.head.lanes * Lanes::kStack);
    Lanes lanes(image_, request_, cells_.data(), work, stacks.mapped() ? &stacks : nullptr);
    const bool finished = finish(lanes, work, strategy);
    if (finished && work.counter->refusal() != nullptr)
      fail(result_, MEMTOOL_BAD_REQUEST, "system calls cannot be counted: %s", work.counter->refusal());
  }

  // As Runner::heap(). In lockstep there is a map of the peak; side by side nobody knows its moment beforehand, and the
  // others do not stand still.
  void heap() {
    std::memset(request_.maps, 0, MEMTOOL_MOST_MAPS * sizeof(HeapMap));
    region_.reset();
    clear_cells();
    LaneBook book(image_, request_.mode == MEMTOOL_LOCKSTEP ? image_.head.peak_operation : ~std::uint64_t{0});
    const OwnPages stacks(image_.head.lanes * Lanes::kStack);
    std::optional<S> strategy;
    std::function<void(std::uint64_t)> map;
    const auto at_peak = [&] { map(MEMTOOL_AT_PEAK); };
    const auto make_probe = [&](const Lane& lane) {
      return LaneHeapProbe<decltype(at_peak)>(image_.touch(), lane, book, at_peak);
    };
    struct Work : LaneWork<S, decltype(make_probe)> {
      using LaneWork<S, decltype(make_probe)>::LaneWork;
      void body_ended() noexcept override { (*map)(MEMTOOL_AT_END); }
      [[nodiscard]] bool holds_lanes() const noexcept override { return true; }
      std::function<void(std::uint64_t)>* map = nullptr;
    };
    Work work(make_probe);
    Lanes lanes(image_, request_, cells_.data(), work, stacks.mapped() ? &stacks : nullptr);
    // Everything of the harness first, as in footprint().
    const std::uintptr_t region = reinterpret_cast<std::uintptr_t>(request_.region);
    const AddressRange ours[] = {{region, region + request_.region_bytes}, stacks.range()};
    const HeapMapper mapper(ours);
    if (!book.mapped() || !mapper.ready()) return fail(result_, MEMTOOL_BAD_REQUEST, "no memory for a heap map");
    const OwnStatistics own;
    const Resident resident(request_.region, request_.region_bytes,
                            (request_.region_flags & MEMTOOL_REGION_SHARED) != 0);
    map = [&](std::uint64_t moment) {
      HeapMap& next = request_.maps[result_.maps++];
      next.moment = moment;
      next.clock = book.operations();
      next.live_bytes = book.live();
      const auto live = [&](const HeapMapper::BlockReport& report) {
        book.for_each(lanes, cells_.data(), [&](const void* block, std::uint64_t size) {
          report(block, strategy->usable_size(block, size));
        });
      };
      map_live_heap(*strategy, live, region_, mapper, own, next);
    };
    (void)resident.exact();
    const std::uint64_t baseline = resident.exact().bytes;
    if (!populate_region(request_, result_)) return;
    strategy.emplace(region_, given_);
    work.set_heap(*strategy, region_);
    work.map = &map;
    if (!finish(lanes, work, *strategy)) return;
    read_after_drain(request_, resident, baseline, result_);
    result_.own_after_drain = own_figures(*strategy, own);
  }

  void check() {
    region_.reset();
    CheckBook book;
    S strategy(region_, given_);
    CheckProbe<S> whole(strategy, region_, on_region(), book);
    const auto make_probe = [&](const Lane& lane) {
      return LaneCheckProbe<S>(strategy, region_, on_region(), book, request_.places[lane.number]);
    };
    struct Work : LaneWork<S, decltype(make_probe)> {
      using LaneWork<S, decltype(make_probe)>::LaneWork;
      void body_ended() noexcept override {
        report_survivors(book->summary(), *result);
        if (!book->failed()) whole->verify_heap();
      }
      [[nodiscard]] bool holds_lanes() const noexcept override { return true; }
      CheckBook* book = nullptr;
      CheckProbe<S>* whole = nullptr;
      ReplayResult* result = nullptr;
    };
    Work work(make_probe);
    work.set_heap(strategy, region_);
    work.book = &book;
    work.whole = &whole;
    work.result = &result_;
    Lanes lanes(image_, request_, cells_.data(), work);
    const bool finished = finish(lanes, work, strategy);
    if (!book.failed() && finished) whole.verify_heap();
    result_.checks = whole.checks();
    result_.order_digest = book.summary().order_digest;
    if (!book.failed()) return;
    result_.failed_operation = book.failed_operation();
    fail(result_, MEMTOOL_WRONG, "event %llu: %s", as_printed(book.failed_operation()), book.complaint().c_str());
  }

  void footprint() {
    std::memset(request_.series, 0, (request_.checkpoints + 2) * sizeof(CheckpointRow));
    region_.reset();
    FootprintTotals totals{
        .resident{request_.region, request_.region_bytes, (request_.region_flags & MEMTOOL_REGION_SHARED) != 0}};
    std::optional<S> strategy;
    std::optional<Account> account;
    const auto make_probe = [&](const Lane&) { return LaneFootprintProbe<S>(*account); };
    struct Work : LaneWork<S, decltype(make_probe)> {
      using LaneWork<S, decltype(make_probe)>::LaneWork;
      void body_ended() noexcept override { account->body_ended(); }
      Account* account = nullptr;
    };
    Work work(make_probe);
    Lanes lanes(image_, request_, cells_.data(), work);
    // Everything of the harness first: what is resident before the strategy is made is not the strategy's.
    (void)totals.resident.exact();
    totals.resident.begin_peak();
    totals.baseline = totals.resident.exact().bytes;
    totals.rough_baseline = totals.resident.approximate();
    result_.baseline_resident_bytes = totals.baseline;
    if (!populate_region(request_, result_)) return;
    strategy.emplace(region_, given_);
    write_when_moved(*strategy, image_.touch());
    FootprintProbe<S> probe(image_.touch(), *strategy, region_, result_);
    account.emplace(probe, *strategy, region_, request_, result_, image_, totals, on_region());
    work.set_heap(*strategy, region_);
    work.account = &*account;
    getrusage(RUSAGE_SELF, &totals.before);
    if (!finish(lanes, work, *strategy)) return;
    result_.drained_resident_bytes = above(totals.resident.exact().bytes, totals.baseline);
    const HeapStats stats = strategy->stats();
    result_.drained = checkpoint_row(stats, region_, on_region(), probe, result_.drained_resident_bytes);
    const std::string lie = why_untrue(stats, 0, region_.used());
    if (!lie.empty()) return fail(result_, MEMTOOL_WRONG, "after everything was freed: %s", lie.c_str());
    fail_if_overgranted(result_, on_region());
  }

  struct FootprintTotals {
    Resident resident;
    std::uint64_t baseline = 0;
    std::uint64_t rough_baseline = 0;
    rusage before{};
  };

  // In lockstep the moment at which live bytes peak is known from the trace. In parallel it is not, and the checkpoint
  // with the most of them stands for it.
  class Account : public SharedFootprint<S> {
   public:
    Account(FootprintProbe<S>& probe, const S& strategy, Region& region, const ReplayRequest& request,
            ReplayResult& result, const ThreadImage& image, FootprintTotals& totals, bool on_region)
        : SharedFootprint<S>(probe, image.head.operations / std::max(1u, request.checkpoints) + 1,
                             request.mode == MEMTOOL_LOCKSTEP ? image.head.peak_operation : ~std::uint64_t{0}),
          strategy_(strategy),
          region_(region),
          request_(request),
          result_(result),
          totals_(totals),
          on_region_(on_region) {}

    void body_ended() noexcept {
      rusage after;
      getrusage(RUSAGE_SELF, &after);
      result_.minor_faults = static_cast<std::uint64_t>(after.ru_minflt - totals_.before.ru_minflt);
      result_.major_faults = static_cast<std::uint64_t>(after.ru_majflt - totals_.before.ru_majflt);
      result_.grow_calls = region_.grow_calls();
      result_.shrink_calls = region_.shrink_calls();
      result_.end_resident_bytes = above(totals_.resident.exact().bytes, totals_.baseline);
      result_.peak_resident_bytes = std::max(result_.peak_resident_bytes, result_.end_resident_bytes);
      if constexpr (Watches<S>) std::snprintf(result_.report, sizeof result_.report, "%s", strategy_.report().c_str());
      if (request_.mode == MEMTOOL_PARALLEL) result_.region = totals_.resident.of_region();
      if (result_.rows == 0 || request_.series[result_.rows - 1].clock != this->probe_.operations()) checkpoint();
      take_peak(request_.series[result_.rows - 1]);
      in_epilogue_ = true;
    }

   private:
    void checkpoint() noexcept override {
      if (in_epilogue_) return;
      CheckpointRow row = take(above(totals_.resident.approximate(), totals_.rough_baseline));
      note_most(row, this->probe_, region_, result_);
      if (result_.rows % std::max<std::uint64_t>(request_.checkpoints / kPeakReadings, 1) == 0) take_peak(row);
      request_.series[result_.rows++] = row;
      if (request_.mode == MEMTOOL_LOCKSTEP || row.live_bytes < result_.at_peak_live.live_bytes) return;
      result_.at_peak_live = row;
      result_.resident_at_peak_live_bytes = row.resident_bytes;
    }
    void take_peak(CheckpointRow& row) noexcept {
      const std::uint64_t most = totals_.resident.take_peak();
      row.most_resident_bytes =
          row.most_resident_bytes == kNotApplicable ? most : std::max(most, row.most_resident_bytes);
      result_.peak_resident_bytes = std::max(result_.peak_resident_bytes, most);
    }
    void at_peak() noexcept override {
      const auto exact = totals_.resident.exact();
      result_.huge_resident_bytes = exact.huge;
      result_.region = totals_.resident.of_region();
      result_.resident_at_peak_live_bytes = above(exact.bytes, totals_.baseline);
      result_.at_peak_live = take(result_.resident_at_peak_live_bytes);
    }
    CheckpointRow take(std::uint64_t resident) noexcept {
      result_.peak_resident_bytes = std::max(result_.peak_resident_bytes, resident);
      return checkpoint_row(strategy_.stats(), region_, on_region_, this->probe_, resident);
    }

    const S& strategy_;
    Region& region_;
    const ReplayRequest& request_;
    ReplayResult& result_;
    FootprintTotals& totals_;
    bool on_region_;
    bool in_epilogue_ = false;
  };

  const Given& given_;
  const ReplayRequest& request_;
  ReplayResult& result_;
  ThreadImage image_;
  Region region_;
  Table<Cell> cells_;
};

}  // namespace memtool
