// The threads of a replay: how the lanes of a thread image start, hand objects over, wait for each other and end.
#pragma once

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "allocators/support/lane_number.hpp"
#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/instruments/clock.hpp"
#include "engine/instruments/instructions.hpp"
#include "engine/instruments/pages.hpp"
#include "engine/replay/image.hpp"
#include "engine/replay/pacer.hpp"
#include "engine/replay/rests.hpp"
#include "engine/replay/waiting.hpp"

namespace memtool {

class Lanes;

// One thread of a replay, on its own cache lines, so that the writes of one lane do not slow down another.
struct alignas(128) Lane {
  Lane(const ThreadImage& image, std::uint32_t index, const Pacer& paced) noexcept
      : entry(image.lanes[index]), number(index), cursor(image, entry), slots(entry.slots), pacer(paced) {}

  const LaneEntry& entry;
  std::uint32_t number;
  Cursor cursor;
  Table<void*> slots;
  Pacer pacer;
  pthread_t thread{};
  std::size_t processor = Processors::kNone;
  std::uint64_t body_start = 0;
  std::uint64_t body_end = 0;
  std::uint64_t end = 0;
  std::uint64_t wait_ticks = 0;
  // Processor time spent waiting for any reason, before the epilogue.
  std::uint64_t spun_ticks = 0;
  std::uint64_t idle_cpu_ns = 0;
  // How often the kernel took the processor away while the lane waited and offered it. The replay itself causes these.
  std::uint64_t own_switches = 0;
  InstructionCounter* counter = nullptr;  // paused while the lane waits
  bool in_body = true;
  std::atomic<bool> started = false;
  std::atomic<bool> joined = false;
  Lanes* lanes = nullptr;
  alignas(128) std::atomic<std::uint32_t> turn = 0;  // in lockstep: number of the run that it may replay, + 1
};

// All threads of one replay.
class Lanes {
 public:
  // The work of a lane: replaying the words of its cursor. Called on the lane's thread.
  class Work {
   public:
    virtual ~Work() = default;
    virtual void run(Lane& lane, Lanes& lanes) noexcept = 0;
    // Called once, when the threads that run from the beginning have been created and none has started work.
    virtual void about_to_begin() noexcept {}
    // Called once, if some events only warm the heap: when all lanes have replayed theirs and stand still.
    virtual void body_began() noexcept {}
    // Called once, by the last lane to reach the end of its body, while no other lane is in a replay.
    virtual void body_ended() noexcept {}
    // Whether lanes stay until then, so that no thread is just returning its cache when body_ended() looks.
    [[nodiscard]] virtual bool holds_lanes() const noexcept { return false; }
  };

  // `stacks`: kStack bytes for each lane, so that creating a thread requests no memory from the kernel; nullptr: the C
  // library allocates them.
  Lanes(const ThreadImage& image, const ReplayRequest& request, std::atomic<void*>* cells, Work& work,
        const OwnPages* stacks = nullptr, bool is_paced = true)
      : image_(image),
        request_(request),
        cells_(cells),
        work_(work),
        stacks_(stacks),
        clock_(request.use_counter != 0),
        processors_(request.processors),
        has_rests_(is_paced && request.is_paced != 0 && !lockstep()),
        rests_(clock_),
        warm_left_(image.head.warm_lanes),
        body_left_(static_cast<std::uint32_t>(image.head.lanes)) {
    const Pacer pacer(clock_, is_paced && request.is_paced != 0 ? request.ticks_per_ns * 1000 : 0);
    for (std::uint32_t index = 0; index < image.head.lanes; ++index) {
      lanes_.push_back(std::make_unique<Lane>(image, index, pacer));
      lanes_.back()->lanes = this;
      set_place(*lanes_.back(), MEMTOOL_THREAD_NOTHING);
    }
  }

  // Runs everything, and returns when the last thread has ended. Returns false if a thread could not be created.
  bool run() noexcept {
    if (lockstep() && image_.head.runs > 0) lanes_[image_.runs[0].lane()]->turn = 1;
    for (const auto& lane : lanes_)
      if (lane->entry.started_by == LaneEntry::kRoot && !create(*lane)) break;
    work_.about_to_begin();
    start_clocks();
    gate_.store(true, std::memory_order_release);
    gate_.notify_all();
    // This thread joins the lanes that no lane joins. A lane that was joined may have started others in the meantime.
    for (bool joined = true; joined;) {
      joined = false;
      for (const auto& lane : lanes_) {
        if (!lane->started.load() || (lane->entry.joined != 0 && !given_up()) || lane->joined.exchange(true)) continue;
        pthread_join(lane->thread, nullptr);
        joined = true;
      }
    }
    return !no_thread_.load();
  }

  [[nodiscard]] const std::vector<std::unique_ptr<Lane>>& all() const noexcept { return lanes_; }
  [[nodiscard]] bool lockstep() const noexcept { return request_.mode == MEMTOOL_LOCKSTEP; }
  [[nodiscard]] const ThreadImage& image() const noexcept { return image_; }
  [[nodiscard]] Clock clock() const noexcept { return clock_; }
  [[nodiscard]] ThreadPlace& place(const Lane& lane) const noexcept { return request_.places[lane.number]; }
  [[nodiscard]] std::uint64_t wait_ticks() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& lane : lanes_) sum += lane->wait_ticks;
    return sum;
  }

  [[nodiscard]] std::uint64_t late_ticks() const noexcept {
    std::uint64_t late = 0;
    for (const auto& lane : lanes_) late = std::max(late, lane->pacer.late());
    return late;
  }

  [[nodiscard]] std::uint64_t own_switches() const noexcept {
    std::uint64_t sum = 0;
    for (const auto& lane : lanes_) sum += lane->own_switches;
    return sum;
  }

  // From the start of the measured part to the last event before the epilogue, and from there to the very last. If one
  // lane in lockstep waits for a recorded time, all others wait for it; this time does not count. In parallel, the time
  // during which all lanes wait does not count either.
  [[nodiscard]] std::uint64_t body_ticks() const noexcept {
    std::uint64_t paced = rests_.ticks();
    if (lockstep())
      for (const auto& lane : lanes_) paced += lane->pacer.waited();
    return body_end() - start_ticks_ - paced;
  }
  [[nodiscard]] std::uint64_t epilogue_ticks() const noexcept {
    std::uint64_t last = body_end();
    for (const auto& lane : lanes_) last = std::max(last, lane->end);
    return last - body_end();
  }

  // Processor time of all threads of the process, from the start of the replay to the last event before the epilogue,
  // less the time that lanes spent waiting. It is out of line, like wait_until(): inlined into every strategy's runner,
  // it would leave the compiler less room to inline the strategy.
  [[nodiscard, gnu::noinline]] std::uint64_t body_cpu_ns() const noexcept {
    std::uint64_t spun = 0;
    std::uint64_t waited = 0;
    for (const auto& lane : lanes_) {
      spun += lane->spun_ticks;
      waited += lane->idle_cpu_ns + lane->pacer.waited_cpu_ns();
    }
    const double ns_per_tick = static_cast<double>(end_ns_ - start_ns_) /
                               static_cast<double>(std::max<std::uint64_t>(body_end() - start_ticks_, 1));
    waited += static_cast<std::uint64_t>(static_cast<double>(spun) * ns_per_tick);
    const std::uint64_t used = end_cpu_ns_ - start_cpu_ns_;
    return used > waited ? used - waited : 0;
  }

  // After a failure: no lane waits any longer, and all come to their end.
  void give_up() noexcept {
    given_up_.store(true);
    for (auto* opened : {&body_began_, &body_ended_}) {
      opened->store(true);
      opened->notify_all();
    }
    for (const auto& lane : lanes_) {
      lane->turn.store(kNoTurn);
      lane->turn.notify_all();
    }
  }
  [[nodiscard]] bool given_up() const noexcept { return given_up_.load(std::memory_order_relaxed); }

  [[gnu::always_inline]] void publish(std::uint64_t cell, void* block) noexcept {
    cells_[cell].store(block, std::memory_order_release);
  }
  // Returns nullptr if the replay was given up.
  [[gnu::always_inline]] void* receive(Lane& lane, std::uint64_t cell, std::uint64_t origin) noexcept {
    void* block = cells_[cell].load(std::memory_order_acquire);
    return block != nullptr ? block : wait_for_object(lane, cell, origin);
  }

  // `next`: the starter's next word.
  bool start(Lane& starter, std::uint64_t index, const std::uint64_t* next) noexcept {
    // The last act of a thread is often to start its successor, which may then have its processor.
    if (starter.cursor.is_end(next)) leave_processor(starter);
    return create(*lanes_[index]);
  }

  bool join(Lane& waiter, std::uint64_t index) noexcept {
    Lane& other = *lanes_[index];
    wait_until(waiter, MEMTOOL_THREAD_JOIN, 0, index, [&] { return ended(other); });
    if (given_up()) return false;
    if (!other.joined.exchange(true)) pthread_join(other.thread, nullptr);
    return true;
  }

  void pace(Lane& lane, std::uint64_t microseconds) noexcept {
    const bool rests = has_rests_ && lane.in_body && lane.pacer.is_early(microseconds);
    if (rests) rests_.rest();
    lane.pacer.wait(microseconds);
    if (rests) rests_.work();
  }

  // The end of a lane's warm-up. Returns when all lanes have arrived, so that they begin the measured part together, or
  // false if the replay was given up. It does not wait for lanes that were already joined or are not yet started.
  [[gnu::noinline]] bool begin_body(Lane& lane) noexcept {
    lane.wait_ticks = lane.spun_ticks = lane.idle_cpu_ns = lane.own_switches = 0;
    if (lane.entry.stage == LaneEntry::kThere && warm_left_.fetch_sub(1) == 1 && !given_up()) begin_all();
    if (lane.entry.stage != LaneEntry::kGone) body_began_.wait(false, std::memory_order_acquire);
    lane.body_start = clock_.start();
    return !given_up();
  }

  // The end of a lane's events before the epilogue. Returns when all lanes have arrived, or at once for a lane that has
  // no more events.
  void end_body(Lane& lane) noexcept {
    lane.body_end = lane.end = clock_.stop();
    lane.in_body = false;
    if (has_rests_) rests_.rest();
    if (body_left_.fetch_sub(1) == 1) {
      end_ns_ = Clock::system_nanoseconds();
      end_cpu_ns_ = Clock::process_cpu_nanoseconds();
      if (!given_up()) work_.body_ended();
      body_ended_.store(true, std::memory_order_release);
      body_ended_.notify_all();
      return;
    }
    const bool has_epilogue = lane.entry.words > lane.entry.body_words;
    if (has_epilogue || (work_.holds_lanes() && lane.entry.joined == 0))
      body_ended_.wait(false, std::memory_order_acquire);
  }

  // Lockstep: waits until the lane may replay its next run, and returns the run's number; kNoRun: given up.
  static constexpr std::uint64_t kNoRun = ~std::uint64_t{0};
  std::uint64_t await_turn(Lane& lane, std::uint32_t last) noexcept {
    wait_until(
        lane, MEMTOOL_THREAD_TURN, 0, 0, [&] { return lane.turn.load(std::memory_order_acquire) != last; },
        [&] { lane.turn.wait(last, std::memory_order_acquire); });
    return given_up() ? kNoRun : lane.turn.load(std::memory_order_acquire) - 1;
  }
  // Wakes only one lane, so that none of hundreds of waiting lanes takes the processor to check whether it is its turn.
  void pass_turn(std::uint64_t run) noexcept {
    if (run + 1 >= image_.head.runs || given_up()) return;
    std::atomic<std::uint32_t>& turn = lanes_[image_.runs[run + 1].lane()]->turn;
    turn.store(static_cast<std::uint32_t>(run + 2), std::memory_order_release);
    turn.notify_one();
  }

  static constexpr std::size_t kStack = 256 * 1024;

 private:
  static constexpr std::uint32_t kNoTurn = ~std::uint32_t{0};
  // One round of waiting: a pause, and a read of what another processor writes. This is a quarter of a microsecond on a
  // slow processor.
  static constexpr std::uint64_t kMostTicksOfRound = 600;

  void begin_all() noexcept {
    work_.body_began();
    start_clocks();
    rests_.forget();
    body_began_.store(true, std::memory_order_release);
    body_began_.notify_all();
  }

  // Called while no lane is in a replay.
  void start_clocks() noexcept {
    start_cpu_ns_ = Clock::process_cpu_nanoseconds();
    start_ns_ = Clock::system_nanoseconds();
    start_ticks_ = clock_.start();
    for (const auto& lane : lanes_) lane->pacer.begin(start_ticks_);
  }

  [[nodiscard]] std::uint64_t body_end() const noexcept {
    std::uint64_t last = start_ticks_;
    for (const auto& lane : lanes_) last = std::max(last, lane->body_end);
    return last;
  }

  static bool ended(const Lane& lane) noexcept {
    return lane.started.load() &&
           std::atomic_ref(lane.lanes->place(lane).at).load(std::memory_order_acquire) == MEMTOOL_THREAD_END;
  }

  bool create(Lane& lane) noexcept {
    if (has_rests_) rests_.work();
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    if (stacks_ != nullptr) {
      pthread_attr_setstack(&attributes, static_cast<std::byte*>(stacks_->base()) + lane.number * kStack, kStack);
    } else {
      pthread_attr_setstacksize(&attributes, kStack);
    }
    lane.processor = processors_.take();
    processors_.pin(attributes, lane.processor);
    const bool started = pthread_create(&lane.thread, &attributes, &Lanes::main, &lane) == 0;
    pthread_attr_destroy(&attributes);
    if (started) {
      lane.started.store(true);
    } else {
      no_thread_.store(true);
      give_up();
    }
    return started;
  }

  static void* main(void* of) {
    Lane& lane = *static_cast<Lane*>(of);
    Lanes& lanes = *lane.lanes;
    lane_number = lane.number + 1;
    lanes.set_place(lane, MEMTOOL_THREAD_REPLAY);
    if (lane.entry.started_by == LaneEntry::kRoot) lanes.gate_.wait(false, std::memory_order_acquire);
    lane.body_start = lanes.clock_.start();
    lanes.work_.run(lane, lanes);
    lane.end = std::max(lane.end, lanes.clock_.stop());
    lanes.leave_processor(lane);
    lanes.set_place(lane, MEMTOOL_THREAD_END);
    return nullptr;
  }

  void leave_processor(Lane& lane) noexcept {
    processors_.give_back(lane.processor);
    lane.processor = Processors::kNone;
  }

  void set_place(const Lane& lane, std::uint64_t at, std::uint64_t object = 0, std::uint64_t other = 0) noexcept {
    ThreadPlace& place = request_.places[lane.number];
    std::atomic_ref(place.object).store(object, std::memory_order_relaxed);
    std::atomic_ref(place.other).store(other, std::memory_order_relaxed);
    std::atomic_ref(place.at).store(at, std::memory_order_release);
  }

  template <class Ready>
  void wait_until(Lane& lane, std::uint64_t at, std::uint64_t object, std::uint64_t other, Ready ready) noexcept {
    Patience patience(false);
    wait_until(lane, at, object, other, ready, [&] { patience.wait(); });
  }
  // `doze()` waits after spinning did not suffice.
  template <class Ready, class Doze>
  [[gnu::noinline]] void wait_until(Lane& lane, std::uint64_t at, std::uint64_t object, std::uint64_t other,
                                    Ready ready, Doze doze) noexcept {
    if (ready()) return;
    if (lane.counter != nullptr) lane.counter->pause();
    const bool rests = has_rests_ && lane.in_body;
    if (rests) rests_.rest();
    const std::uint64_t start = clock_.start();
    set_place(lane, at, object, other);
    const auto goes_on = [&] { return !ready() && !given_up(); };
    Patience patience(request_.processors != 0);
    while (patience.spins() && goes_on()) patience.wait();
    std::uint64_t now = clock_.stop();
    // A spinning lane holds the processor, and asking the kernel would take longer than most waits. If the kernel takes
    // the processor away nevertheless, no more time counts as spinning than so many rounds can take.
    if (lane.in_body) lane.spun_ticks += std::min(now - start, patience.rounds() * kMostTicksOfRound);
    if (goes_on()) {
      const std::uint64_t used = Clock::thread_cpu_nanoseconds();
      const std::uint64_t switches = switches_of_thread();
      while (goes_on()) doze();
      lane.own_switches += switches_of_thread() - switches;
      if (lane.in_body) lane.idle_cpu_ns += Clock::thread_cpu_nanoseconds() - used;
      now = clock_.stop();
    }
    set_place(lane, MEMTOOL_THREAD_REPLAY);
    if (rests) rests_.work();
    if (at == MEMTOOL_THREAD_OBJECT) lane.wait_ticks += now - start;
    if (lane.counter != nullptr) lane.counter->resume();
  }

  // How often the kernel has taken this thread's processor away, including after the thread offered it (sched_yield).
  static std::uint64_t switches_of_thread() noexcept {
    rusage used;
    getrusage(RUSAGE_THREAD, &used);
    return static_cast<std::uint64_t>(used.ru_nivcsw);
  }

  [[gnu::noinline]] void* wait_for_object(Lane& lane, std::uint64_t cell, std::uint64_t origin) noexcept {
    wait_until(lane, MEMTOOL_THREAD_OBJECT, handover::object(origin), handover::lane(origin),
               [&] { return cells_[cell].load(std::memory_order_acquire) != nullptr; });
    return cells_[cell].load(std::memory_order_acquire);
  }

  const ThreadImage& image_;
  const ReplayRequest& request_;
  std::atomic<void*>* cells_;
  Work& work_;
  const OwnPages* stacks_;
  Clock clock_;
  Processors processors_;
  bool has_rests_;
  Rests rests_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::uint64_t start_ticks_ = 0;
  // When the first lane may start the measured part, and when the last one has ended its body, by the system's clock
  // and in processor time.
  std::uint64_t start_ns_ = 0;
  std::uint64_t start_cpu_ns_ = 0;
  std::uint64_t end_ns_ = 0;
  std::uint64_t end_cpu_ns_ = 0;
  alignas(128) std::atomic<bool> given_up_ = false;
  std::atomic<bool> no_thread_ = false;
  std::atomic<bool> gate_ = false;
  std::atomic<bool> body_began_ = false;
  std::atomic<bool> body_ended_ = false;
  std::atomic<std::uint64_t> warm_left_;
  std::atomic<std::uint32_t> body_left_;
};

// What Replay does between threads (engine/replay/replay.hpp).
class LaneExchange {
 public:
  static constexpr bool kBetweenThreads = true;
  LaneExchange(Lane& lane, Lanes& lanes) noexcept : lane_(lane), lanes_(lanes) {}
  [[gnu::always_inline]] void publish(std::uint64_t cell, void* block) noexcept { lanes_.publish(cell, block); }
  [[gnu::always_inline]] void* receive(std::uint64_t cell, std::uint64_t origin) noexcept {
    return lanes_.receive(lane_, cell, origin);
  }
  void pace(std::uint64_t microseconds) noexcept { lanes_.pace(lane_, microseconds); }
  bool start(std::uint64_t lane, const std::uint64_t* next) noexcept { return lanes_.start(lane_, lane, next); }
  bool join(std::uint64_t lane) noexcept { return lanes_.join(lane_, lane); }

 private:
  Lane& lane_;
  Lanes& lanes_;
};

}  // namespace memtool
