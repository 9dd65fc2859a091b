// Patterns for several threads: a pattern on each of them, objects that are exchanged, and cache lines that are shared.
#include <stdexcept>
#include <utility>

#include "engine/generate/parts.hpp"

namespace memtool {
namespace {

constexpr std::uint64_t kMostThreads = 1 << 16;
// Number of events of a thread before the next thread's turn, in the recorded order. In parallel it has no meaning; in
// lockstep each turn costs a wake-up.
constexpr std::uint64_t kTurn = 64;

void refuse_too_many(std::uint64_t threads) {
  if (threads > kMostThreads) throw std::invalid_argument("more than 65,536 threads in all rounds together");
}

// Each worker is a separate generator, whose objects are renumbered here. Work for "the next thread" (a thread above 0
// in its events) is done by the thread of a later worker. With rounds, one thread for each round does the work of a
// worker, one after another. Each continues where its predecessor stopped, and so frees what its predecessor allocated.
class ThreadsGenerator final : public Generator {
 public:
  ThreadsGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : threads_each_(words[1]), rounds_(words[2]), successors_(words[3] != 0), workers_(words[0]) {
    const bool has_main = rounds_ > 1 && !successors_;
    refuse_too_many(has_main + words[0] * threads_each_ * rounds_);
    next_thread_ = has_main ? 1 : 0;
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      Worker& worker = workers_[i];
      worker.allocations = program[words[5 + i] + 1];
      // The seeds lie far apart; the generator mixes them (engine/generate/random.hpp).
      worker.generator = make_inner(words[4], program, program + words[5 + i], seed + i * 0x9e3779b97f4a7c15ULL);
    }
    threads_.resize(workers_.size() * threads_each_);
    for (std::uint64_t& thread : threads_) thread = next_thread_++;
  }

  void next(std::vector<TraceEvent>& events) override {
    if (round_ == 0 && !begun_ && main_starts()) start_all(events);
    begun_ = true;
    while (!all_done() && events.size() < kPortion) {
      bool moved = false;
      for (std::size_t i = 0; i < workers_.size(); ++i) moved |= take_turn(events, i);
      if (!moved) next_round(events);
    }
    if (!all_done()) return;
    if (!epilogue_.begun()) {
      if (main_starts()) join_all(events);
      epilogue_.begin(std::move(survivors_));
    }
    epilogue_.next(events);
  }

 private:
  struct Worker {
    std::unique_ptr<Generator> generator;
    std::vector<TraceEvent> events;
    std::size_t at = 0;
    std::uint64_t allocations = 0;  // in total
    std::uint64_t born = 0;
    std::vector<std::uint64_t> numbers;  // the worker's numbers of its objects -> those of the trace
    std::uint64_t round = 0;
    bool in_epilogue = false;
    bool done = false;
  };

  static std::unique_ptr<Generator> make_inner(std::uint64_t source, const std::uint64_t* program,
                                               const std::uint64_t* words, std::uint64_t seed) {
    if (source == 1) return make_fill_generator(program, words, seed);
    if (source == 3) return make_toggle_generator(program, words, seed);
    if (source == 7) return make_buffer_generator(program, words, seed);
    if (source == 8) return make_refill_generator(program, words, seed);
    if (source == 9) return make_sweep_generator(program, words, seed);
    throw std::invalid_argument("this source has no threads");
  }

  [[nodiscard]] bool main_starts() const noexcept { return rounds_ > 1 && !successors_; }
  [[nodiscard]] bool all_done() const noexcept { return std::ranges::all_of(workers_, &Worker::done); }

  // Returns whether there was anything to do before the end of the worker's round.
  bool take_turn(std::vector<TraceEvent>& events, std::size_t index) {
    Worker& worker = workers_[index];
    bool moved = false;
    for (std::uint64_t i = 0; i < kTurn; ++i) {
      const TraceEvent* event = peek(worker);
      if (event == nullptr || (starts_new_round(worker, *event) && !begin_next_round(events, worker, index)))
        return moved;
      moved = true;
      ++worker.at;
      hand_on(events, worker, index, *event);
    }
    return moved;
  }

  static const TraceEvent* peek(Worker& worker) {
    if (worker.done) return nullptr;
    if (worker.at == worker.events.size()) {
      worker.events.clear();
      worker.at = 0;
      worker.generator->next(worker.events);
      worker.done = worker.events.empty();
      if (worker.done) return nullptr;
    }
    return &worker.events[worker.at];
  }

  [[nodiscard]] bool starts_new_round(const Worker& worker, const TraceEvent& event) const noexcept {
    const auto share = static_cast<unsigned __int128>(worker.allocations) * (worker.round + 1) / rounds_;
    return event.kind() == Kind::allocate && worker.round + 1 < rounds_ && worker.born == share;
  }

  // A thread that starts its own successor waits for no other; otherwise the worker waits for the other workers.
  bool begin_next_round(std::vector<TraceEvent>& events, Worker& worker, std::size_t index) {
    if (!successors_) return false;
    for (std::uint64_t i = 0; i < threads_each_; ++i) {
      std::uint64_t& thread = threads_[index * threads_each_ + i];
      const std::uint64_t successor = next_thread_++;
      events.push_back(TraceEvent::make(Kind::thread_start, successor, 0, 0, thread));
      thread = successor;
    }
    ++worker.round;
    return true;
  }

  void next_round(std::vector<TraceEvent>& events) {
    if (all_done()) return;
    join_all(events);
    for (Worker& worker : workers_) ++worker.round;
    ++round_;
    for (std::uint64_t& thread : threads_) thread = next_thread_++;
    start_all(events);
  }
  void start_all(std::vector<TraceEvent>& events) {
    for (const std::uint64_t thread : threads_) events.push_back(TraceEvent::make(Kind::thread_start, thread));
  }
  void join_all(std::vector<TraceEvent>& events) {
    for (const std::uint64_t thread : threads_) events.push_back(TraceEvent::make(Kind::thread_join, thread));
  }

  void hand_on(std::vector<TraceEvent>& events, Worker& worker, std::size_t index, const TraceEvent& event) {
    const std::uint64_t thread = threads_[(index * threads_each_ + event.thread()) % threads_.size()];
    if (event.kind() == Kind::epilogue) {
      worker.in_epilogue = true;
    } else if (event.kind() == Kind::allocate) {
      ++worker.born;
      worker.numbers.push_back(born_);
      events.push_back(TraceEvent::make(Kind::allocate, born_++, event.size(), event.log2_alignment(), thread));
    } else if (worker.in_epilogue) {
      // The first thread, after all the threads it started have ended, frees what they left.
      survivors_.push_back({worker.numbers[event.object()], main_starts() ? 0 : thread});
    } else {
      events.push_back(TraceEvent::make(event.kind(), worker.numbers[event.object()], event.size(), 0, thread));
    }
  }

  std::uint64_t threads_each_;
  std::uint64_t rounds_;
  bool successors_;
  bool begun_ = false;
  std::vector<Worker> workers_;
  std::vector<std::uint64_t> threads_;  // the running threads; those of a worker are adjacent
  std::uint64_t next_thread_ = 0;
  std::uint64_t round_ = 0;
  std::uint64_t born_ = 0;
  std::vector<Epilogue::Survivor> survivors_;
  Epilogue epilogue_;
};

// Rounds of short-lived threads. Each has its own places for objects, and all share the slots. After each allocation a
// thread may choose one of the places that it has used and free the object there, if any. It may also choose one and
// exchange its contents with a slot; either may be empty. It retains some objects. At its end it frees what it has. In
// every round it draws the same numbers. Between rounds the first thread frees some of the objects in the slots, and
// after the last round all of them.
class ExchangeGenerator final : public Generator {
 public:
  ExchangeGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : seed_(seed),
        random_(seed),
        size_(program + words[0]),
        allocations_(words[1]),
        workers_(words[2], Worker(seed)),
        rounds_(words[3]),
        slots_(words[4], kEmpty),
        freed_(words[5]),
        exchanged_(words[6]),
        log2_alignment_(static_cast<unsigned>(words[7])),
        retained_numerator_(words[8]),
        retained_denominator_(words[9]),
        retained_size_(program + words[10]),
        survive_(words[11]),
        uneven_(words[12] != 0),
        first_works_(words[13] != 0) {
    refuse_too_many(1 + workers_.size() * rounds_);
  }

  void next(std::vector<TraceEvent>& events) override {
    while (events.size() < kPortion && round_ < rounds_) {
      if (!started_) start_round(events);
      bool moved = false;
      for (std::size_t i = 0; i < workers_.size(); ++i) moved |= take_turn(events, i);
      if (!moved) end_round(events);
    }
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

  struct Worker {
    explicit Worker(std::uint64_t seed) : random(seed) {}
    Random random;
    std::vector<std::uint64_t> places;
    std::vector<std::uint64_t> retained;
    std::uint64_t to_place = 0;
    std::uint64_t to_retain = 0;
  };

  [[nodiscard]] std::uint64_t thread_of(std::size_t index) const noexcept {
    if (!first_works_) return 1 + round_ * workers_.size() + index;
    return index == 0 ? 0 : round_ * (workers_.size() - 1) + index;
  }
  void for_all(std::vector<TraceEvent>& events, Kind kind) const {
    for (std::size_t i = first_works_ ? 1 : 0; i < workers_.size(); ++i)
      events.push_back(TraceEvent::make(kind, thread_of(i)));
  }
  static void free(std::vector<TraceEvent>& events, std::uint64_t object, std::uint64_t thread) {
    if (object != kEmpty) events.push_back(TraceEvent::make(Kind::deallocate, object, 0, 0, thread));
  }
  // The share of a round that the threads before this one do, in parts of which the first thread does one.
  [[nodiscard]] std::uint64_t parts_before(std::size_t index) const noexcept {
    if (!uneven_) return index;
    constexpr std::uint64_t kMost = 8;  // from there it starts again at one
    const std::uint64_t rest = index % kMost;
    return index / kMost * (kMost * (kMost + 1) / 2) + rest * (rest + 1) / 2;
  }
  // Rounds the running totals, over rounds and threads.
  [[nodiscard]] std::uint64_t share_of(std::size_t index) const noexcept {
    const std::uint64_t in_round = parts_before(workers_.size());
    const std::uint64_t parts = rounds_ * in_round;
    const auto whole = static_cast<unsigned __int128>(allocations_);
    const auto until = [&](std::size_t i) { return whole * (round_ * in_round + parts_before(i)) / parts; };
    return static_cast<std::uint64_t>(until(index + 1) - until(index));
  }

  void start_round(std::vector<TraceEvent>& events) {
    for_all(events, Kind::thread_start);
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      const std::uint64_t share = share_of(i);
      workers_[i] = Worker(seed_ + (i + 1) * 0x9e3779b97f4a7c15ULL);
      workers_[i].to_retain = share * retained_numerator_ / retained_denominator_;
      workers_[i].to_place = share - workers_[i].to_retain;
    }
    started_ = true;
  }

  void end_round(std::vector<TraceEvent>& events) {
    for (std::size_t i = 0; i < workers_.size(); ++i) {
      for (const std::uint64_t object : workers_[i].retained) free(events, object, thread_of(i));
      for (const std::uint64_t object : workers_[i].places) free(events, object, thread_of(i));
    }
    for_all(events, Kind::thread_join);
    ++round_;
    started_ = false;
    for (std::uint64_t& slot : slots_)
      if (slot != kEmpty && (round_ == rounds_ || random_.next() > survive_))
        free(events, std::exchange(slot, kEmpty), 0);
  }

  bool take_turn(std::vector<TraceEvent>& events, std::size_t index) {
    Worker& worker = workers_[index];
    bool moved = false;
    for (std::uint64_t i = 0; i < kTurn / 2 && worker.to_place + worker.to_retain > 0; ++i, moved = true) {
      allocate(events, worker, thread_of(index));
      std::vector<std::uint64_t>& places = worker.places;
      Random& random = worker.random;
      if (!places.empty() && random.next() <= freed_)
        free(events, std::exchange(places[random.below(places.size())], kEmpty), thread_of(index));
      if (!places.empty() && random.next() <= exchanged_)
        std::swap(places[random.below(places.size())], slots_[random.below(slots_.size())]);
    }
    return moved;
  }

  // A retained object is as likely as another, as long as both kinds remain.
  void allocate(std::vector<TraceEvent>& events, Worker& worker, std::uint64_t thread) {
    const bool both = worker.to_place > 0 && worker.to_retain > 0;
    const bool retained = both ? worker.random.below(2) != 0 : worker.to_retain > 0;
    const std::uint64_t size = (retained ? retained_size_ : size_).draw(worker.random);
    events.push_back(TraceEvent::make(Kind::allocate, born_, size, log2_alignment_, thread));
    (retained ? worker.retained : worker.places).push_back(born_++);
    --(retained ? worker.to_retain : worker.to_place);
  }

  std::uint64_t seed_;
  Random random_;  // of the first thread, between rounds
  Law size_;
  std::uint64_t allocations_;
  std::vector<Worker> workers_;
  std::uint64_t rounds_;
  std::vector<std::uint64_t> slots_;
  std::uint64_t freed_;
  std::uint64_t exchanged_;
  unsigned log2_alignment_;
  std::uint64_t retained_numerator_;
  std::uint64_t retained_denominator_;
  Law retained_size_;
  std::uint64_t survive_;
  bool uneven_;
  bool first_works_;
  std::uint64_t round_ = 0;
  std::uint64_t born_ = 0;
  bool started_ = false;
};

// Each thread allocates an object, writes to it again and again, and frees it. In the passive form it first frees an
// object that the first thread allocated next to those of the other threads. If an allocator gives it that memory
// again, the threads share a cache line.
class SharingGenerator final : public Generator {
 public:
  SharingGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : random_(seed),
        size_(program + words[0]),
        allocations_(words[1]),
        threads_(words[2]),
        writes_(words[3]),
        passive_(words[4] != 0),
        log2_alignment_(static_cast<unsigned>(words[5])) {
    refuse_too_many(1 + threads_);
  }

  void next(std::vector<TraceEvent>& events) override {
    if (!begun_) begin(events);
    while (born_ < allocations_ && events.size() < kPortion)
      for (std::uint64_t thread = 1; thread <= threads_ && born_ < allocations_; ++thread) {
        events.push_back(allocation(thread));
        events.push_back(TraceEvent::make(Kind::write, born_, writes_, 0, thread));
        events.push_back(TraceEvent::make(Kind::deallocate, born_++, 0, 0, thread));
      }
    if (born_ < allocations_ || std::exchange(ended_, true)) return;
    for (std::uint64_t thread = 1; thread <= threads_; ++thread)
      events.push_back(TraceEvent::make(Kind::thread_join, thread));
  }

 private:
  TraceEvent allocation(std::uint64_t thread) {
    return TraceEvent::make(Kind::allocate, born_, size_.draw(random_), log2_alignment_, thread);
  }
  void begin(std::vector<TraceEvent>& events) {
    begun_ = true;
    const std::uint64_t handed = passive_ ? std::min(threads_, allocations_) : 0;
    for (std::uint64_t i = 0; i < handed; ++i, ++born_) events.push_back(allocation(0));
    for (std::uint64_t thread = 1; thread <= threads_; ++thread)
      events.push_back(TraceEvent::make(Kind::thread_start, thread));
    for (std::uint64_t i = 0; i < handed; ++i) events.push_back(TraceEvent::make(Kind::deallocate, i, 0, 0, i + 1));
  }

  Random random_;
  Law size_;
  std::uint64_t allocations_;
  std::uint64_t threads_;
  std::uint64_t writes_;
  bool passive_;
  unsigned log2_alignment_;
  std::uint64_t born_ = 0;
  bool begun_ = false;
  bool ended_ = false;
};

}  // namespace

MakeGenerator* const make_threads_generator = made<ThreadsGenerator>;
MakeGenerator* const make_exchange_generator = made<ExchangeGenerator>;
MakeGenerator* const make_sharing_generator = made<SharingGenerator>;

}  // namespace memtool
