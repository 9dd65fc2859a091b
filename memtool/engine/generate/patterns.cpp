// Regular patterns: filling and emptying, and slots that are toggled.
#include <utility>

#include "engine/generate/parts.hpp"

namespace memtool {
namespace {

// Fills up to a number of live objects and empties down to another, again and again. LIFO, FIFO, ring, random victims,
// sawtooth, ramp, batches and producer-consumer are all patterns of this kind.
class FillGenerator final : public Generator {
 public:
  FillGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : random_(seed),
        size_(program + words[0]),
        allocations_(words[1]),
        fill_to_(program + words[2]),
        empty_to_(words[3]),
        victim_(static_cast<Victim>(words[4])),
        log2_alignment_(static_cast<unsigned>(words[5])),
        hand_every_(words[6]),
        consumers_(words[7]) {
    begin_filling();
  }

  void next(std::vector<TraceEvent>& events) override {
    while (events.size() < kPortion) {
      if (filling_ && born_ == allocations_) begin_emptying();
      if (filling_) {
        events.push_back(TraceEvent::make(Kind::allocate, born_, size_.draw(random_), log2_alignment_));
        live_.push_back(born_++);
        if (live() >= high_) begin_emptying();
      } else if (live() > empty_to_) {
        events.push_back(TraceEvent::make(Kind::deallocate, choose(), 0, 0, freeing_thread_));
      } else if (born_ < allocations_) {
        begin_filling();
      } else {
        break;
      }
    }
    if (events.size() >= kPortion) return;
    if (!epilogue_.begun()) {
      std::vector<Epilogue::Survivor> rest;
      for (std::size_t i = oldest_; i < live_.size(); ++i) rest.push_back({live_[i]});
      epilogue_.begin(std::move(rest));
    }
    epilogue_.next(events);
  }

 private:
  enum class Victim : std::uint64_t { oldest, youngest, random, both_ends, random_but_youngest };

  [[nodiscard]] std::uint64_t live() const noexcept { return live_.size() - oldest_; }

  void begin_filling() {
    filling_ = true;
    high_ = std::max(fill_to_.draw(random_), empty_to_ + 1);
  }
  void begin_emptying() {
    filling_ = false;
    older_half_ = live() > empty_to_ ? (live() - empty_to_) / 2 : 0;
    // The freeing thread in the form of the threads generator: its distance from the allocating thread.
    freeing_thread_ = 0;
    if (consumers_ > 0) freeing_thread_ = 1 + 2 * (emptied_ % consumers_);
    if (hand_every_ > 0 && emptied_ % hand_every_ == hand_every_ - 1) freeing_thread_ = 1;
    ++emptied_;
  }

  std::uint64_t choose() {
    if (victim_ == Victim::oldest) return take_oldest();
    if (victim_ == Victim::both_ends && older_half_ > 0) {
      --older_half_;
      return take_oldest();
    }
    if (victim_ == Victim::random) std::swap(live_[random_.below(live_.size())], live_.back());
    if (victim_ == Victim::random_but_youngest && live_.size() > 1)
      std::swap(live_[random_.below(live_.size() - 1)], live_.back());
    const std::uint64_t object = live_.back();
    live_.pop_back();
    return object;
  }

  std::uint64_t take_oldest() {
    const std::uint64_t object = live_[oldest_++];
    // Drops freed objects now and then, so that the queue serves a trace of any length.
    if (oldest_ >= kPortion && oldest_ * 2 >= live_.size()) {
      live_.erase(live_.begin(), live_.begin() + static_cast<std::ptrdiff_t>(oldest_));
      oldest_ = 0;
    }
    return object;
  }

  Random random_;
  Law size_;
  std::uint64_t allocations_;
  Law fill_to_;
  std::uint64_t empty_to_;
  Victim victim_;
  unsigned log2_alignment_;
  std::uint64_t hand_every_;  // every so many times another thread frees; 0: never
  std::uint64_t consumers_;   // number of consumers that free in turn, each next to a producer; 0: there are none
  std::vector<std::uint64_t> live_;  // valid from oldest_ on
  std::size_t oldest_ = 0;
  std::uint64_t born_ = 0;
  std::uint64_t high_ = 0;        // the number of objects being filled to
  std::uint64_t older_half_ = 0;  // with both ends as victims: how many are still to be freed from the older end
  bool filling_ = true;
  std::uint64_t emptied_ = 0;
  std::uint64_t freeing_thread_ = 0;
  Epilogue epilogue_;
};

// Some of the slots are filled at first. Then a slot is chosen again and again: if it is empty, an object is allocated;
// if it is full, its object is freed.
class ToggleGenerator final : public Generator {
 public:
  ToggleGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : random_(seed),
        size_(program + words[0]),
        allocations_(words[1]),
        slots_(words[2], kEmpty),
        slot_(program + words[3]),
        log2_alignment_(static_cast<unsigned>(words[4])),
        filled_(words[5]),
        to_fill_(filled_ == 0 ? slots_.size() : 0) {}

  void next(std::vector<TraceEvent>& events) override {
    for (; to_fill_ < slots_.size() && born_ < allocations_ && events.size() < kPortion; ++to_fill_)
      if (random_.next() <= filled_) fill(events, slots_[to_fill_]);
    while (born_ < allocations_ && events.size() < kPortion) {
      std::uint64_t& slot = slots_[slot_.draw(random_)];
      if (slot == kEmpty) {
        fill(events, slot);
      } else {
        events.push_back(TraceEvent::make(Kind::deallocate, std::exchange(slot, kEmpty)));
      }
    }
    if (born_ < allocations_) return;
    if (!epilogue_.begun()) {
      std::vector<Epilogue::Survivor> rest;
      for (const std::uint64_t slot : slots_)
        if (slot != kEmpty) rest.push_back({slot});
      epilogue_.begin(std::move(rest));
    }
    epilogue_.next(events);
  }

 private:
  static constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

  void fill(std::vector<TraceEvent>& events, std::uint64_t& slot) {
    events.push_back(TraceEvent::make(Kind::allocate, born_, size_.draw(random_), log2_alignment_));
    slot = born_++;
  }

  Random random_;
  Law size_;
  std::uint64_t allocations_;
  std::vector<std::uint64_t> slots_;
  Law slot_;
  unsigned log2_alignment_;
  std::uint64_t filled_;
  std::size_t to_fill_;  // the next slot that may be filled at first
  std::uint64_t born_ = 0;
  Epilogue epilogue_;
};

}  // namespace

MakeGenerator* const make_fill_generator = made<FillGenerator>;
MakeGenerator* const make_toggle_generator = made<ToggleGenerator>;

}  // namespace memtool
