#include "engine/generator.hpp"

#include <algorithm>
#include <stdexcept>

#include "engine/random.hpp"

namespace memtool {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};
constexpr std::uint64_t kClassWords = 7;
// Events are handed on in portions of about this many, so that a trace of any length needs bounded memory.
constexpr std::size_t kPortion = std::size_t{1} << 16;

// One class of objects: what its members look like.
struct ObjectClass {
  ObjectClass(const std::uint64_t* program, const std::uint64_t* words) noexcept
      : size(program + words[0]),
        lifetime(program + words[1]),
        lives_forever(words[1] == 0),
        log2_alignment(static_cast<unsigned>(words[2])),
        kind(words[3] != 0 ? Kind::allocate_zeroed : Kind::allocate),
        resize_threshold(words[4]),
        resize_numerator(words[5]),
        resize_denominator(words[6]) {}

  [[nodiscard]] std::uint64_t resized(std::uint64_t bytes) const noexcept {
    return std::max<std::uint64_t>(1, bytes * resize_numerator / resize_denominator);
  }

  Law size;
  Law lifetime;
  bool lives_forever;
  unsigned log2_alignment;
  Kind kind;
  std::uint64_t resize_threshold;
  std::uint64_t resize_numerator;
  std::uint64_t resize_denominator;
};

std::vector<ObjectClass> read_classes(const std::uint64_t* program, const std::uint64_t* at, std::uint64_t count) {
  std::vector<ObjectClass> classes;
  classes.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) classes.emplace_back(program, at + i * kClassWords);
  return classes;
}

// What is to happen to live objects, by the tick at which it happens: a list for each tick, the youngest first.
class Calendar {
 public:
  struct Entry {
    std::uint64_t object;
    std::uint64_t size;
    std::uint64_t death;        // tick; ~0: never
    std::uint64_t resized = 0;  // size to come; 0: no resize is due
    std::uint32_t next = kNone;
  };

  explicit Calendar(std::uint64_t ticks) : heads_(ticks + 1, kNone) {}

  void schedule(const Entry& entry, std::uint64_t tick) {
    std::uint32_t index = free_;
    if (index == kNone) {
      index = static_cast<std::uint32_t>(entries_.size());
      entries_.push_back(entry);
    } else {
      free_ = entries_[index].next;
      entries_[index] = entry;
    }
    // What outlives the calendar waits in a list of its own.
    std::uint32_t& head = tick < heads_.size() ? heads_[tick] : survivors_;
    entries_[index].next = head;
    head = index;
  }

  // Calls visit(entry) for everything due at `tick`; the visitor may schedule, for later ticks.
  template <class Visit>
  void due(std::uint64_t tick, Visit visit) {
    std::uint32_t index = heads_[tick];
    heads_[tick] = kNone;
    while (index != kNone) {
      const Entry entry = entries_[index];
      entries_[index].next = free_;
      free_ = index;
      index = entry.next;
      visit(entry);
    }
  }

  // The objects that nothing has freed, in order of birth.
  [[nodiscard]] std::vector<std::uint64_t> remaining() const {
    std::vector<std::uint64_t> objects;
    const auto collect = [&](std::uint32_t index) {
      for (; index != kNone; index = entries_[index].next) objects.push_back(entries_[index].object);
    };
    for (const std::uint32_t head : heads_) collect(head);
    collect(survivors_);
    std::ranges::sort(objects);
    return objects;
  }

 private:
  std::vector<std::uint32_t> heads_;
  std::vector<Entry> entries_;
  std::uint32_t free_ = kNone;
  std::uint32_t survivors_ = kNone;
};

void free_in_epilogue(std::vector<TraceEvent>& events, const std::vector<std::uint64_t>& objects) {
  if (objects.empty()) return;
  events.push_back(TraceEvent::make(Kind::epilogue, 0));
  for (const std::uint64_t object : objects) events.push_back(TraceEvent::make(Kind::deallocate, object));
}

// A weighted mix of classes through phases. The clock counts allocations; during a ramp it stands still, so that
// nothing dies, and during a drain it goes on without allocations.
class ClassesGenerator final : public Generator {
 public:
  ClassesGenerator(const std::uint64_t* program, std::uint64_t seed, const std::uint64_t* words)
      : random_(seed), classes_(read_classes(program, words + 2, words[0])), calendar_(clock_ticks(words)) {
    const std::uint64_t* phase = words + 2 + words[0] * kClassWords;
    for (std::uint64_t i = 0; i < words[1]; ++i, phase += 3)
      phases_.push_back({static_cast<PhaseKind>(phase[0]), phase[1], Law(program + phase[2])});
  }

  void next(std::vector<TraceEvent>& events) override {
    while (phase_ < phases_.size() && events.size() < kPortion) {
      Phase& phase = phases_[phase_];
      if (phase.ticks == 0) {
        ++phase_;
        continue;
      }
      --phase.ticks;
      if (phase.kind != PhaseKind::ramp) {
        ++clock_;
        calendar_.due(clock_, [&](const Calendar::Entry& entry) { happen(events, entry); });
      }
      if (phase.kind != PhaseKind::drain) allocate(events, classes_[phase.class_law.draw(random_)]);
    }
    if (!events.empty() || ended_) return;
    ended_ = true;
    free_in_epilogue(events, calendar_.remaining());
  }

 private:
  enum class PhaseKind : std::uint64_t { ramp, steady, drain };
  struct Phase {
    PhaseKind kind;
    std::uint64_t ticks;
    Law class_law;
  };

  static std::uint64_t clock_ticks(const std::uint64_t* words) {
    const std::uint64_t* phase = words + 2 + words[0] * kClassWords;
    std::uint64_t ticks = 0;
    for (std::uint64_t i = 0; i < words[1]; ++i, phase += 3)
      if (static_cast<PhaseKind>(phase[0]) != PhaseKind::ramp) ticks += phase[1];
    return ticks;
  }

  void allocate(std::vector<TraceEvent>& events, const ObjectClass& objects) {
    Calendar::Entry entry{.object = born_++, .size = objects.size.draw(random_), .death = ~std::uint64_t{0}};
    events.push_back(TraceEvent::make(objects.kind, entry.object, entry.size, objects.log2_alignment));
    std::uint64_t tick = entry.death;
    if (!objects.lives_forever) {
      const std::uint64_t lifetime = std::max<std::uint64_t>(1, objects.lifetime.draw(random_));
      tick = entry.death = clock_ + lifetime;
      if (objects.resize_threshold != 0 && lifetime > 1 && random_.next() <= objects.resize_threshold) {
        entry.resized = objects.resized(entry.size);
        tick = clock_ + lifetime / 2;
      }
    }
    calendar_.schedule(entry, tick);
  }

  void happen(std::vector<TraceEvent>& events, const Calendar::Entry& due) {
    if (due.resized == 0) {
      events.push_back(TraceEvent::make(Kind::deallocate, due.object));
      return;
    }
    events.push_back(TraceEvent::make(Kind::reallocate, due.object, due.resized));
    Calendar::Entry entry = due;
    entry.size = due.resized;
    entry.resized = 0;
    calendar_.schedule(entry, entry.death);
  }

  Random random_;
  std::vector<ObjectClass> classes_;
  Calendar calendar_;
  std::vector<Phase> phases_;
  std::size_t phase_ = 0;
  std::uint64_t clock_ = 0;
  std::uint64_t born_ = 0;
  bool ended_ = false;
};

// Fill to `high` live objects, free down to `low`, again and again: LIFO, FIFO, ring, random victim, sawtooth, ramp and
// producer-consumer are all of this kind.
class PatternGenerator final : public Generator {
 public:
  PatternGenerator(const std::uint64_t* program, std::uint64_t seed, const std::uint64_t* words)
      : random_(seed),
        size_(program + words[0]),
        allocations_(words[1]),
        high_(words[2]),
        low_(words[3]),
        victim_(static_cast<Victim>(words[4])),
        log2_alignment_(static_cast<unsigned>(words[5])) {}

  void next(std::vector<TraceEvent>& events) override {
    while (events.size() < kPortion && (born_ < allocations_ || live() > high_)) {
      if (filling_) {
        events.push_back(TraceEvent::make(Kind::allocate, born_, size_.draw(random_), log2_alignment_));
        live_.push_back(born_++);
        filling_ = live() < high_;
      } else {
        events.push_back(TraceEvent::make(Kind::deallocate, choose()));
        filling_ = live() <= low_;
      }
    }
    if (!events.empty() || ended_) return;
    ended_ = true;
    std::vector<std::uint64_t> rest(live_.begin() + static_cast<std::ptrdiff_t>(oldest_), live_.end());
    // A pattern that empties itself does so in its own order, as part of the workload.
    if (low_ == 0) {
      while (live() > 0) events.push_back(TraceEvent::make(Kind::deallocate, choose()));
    } else {
      std::ranges::sort(rest);
      free_in_epilogue(events, rest);
    }
  }

 private:
  enum class Victim : std::uint64_t { oldest, youngest, random };

  [[nodiscard]] std::uint64_t live() const noexcept { return live_.size() - oldest_; }

  std::uint64_t choose() {
    if (victim_ == Victim::oldest) {
      const std::uint64_t object = live_[oldest_++];
      // Forget the freed ones now and then: the queue moves through a trace of any length.
      if (oldest_ >= kPortion && oldest_ * 2 >= live_.size()) {
        live_.erase(live_.begin(), live_.begin() + static_cast<std::ptrdiff_t>(oldest_));
        oldest_ = 0;
      }
      return object;
    }
    if (victim_ == Victim::random) std::swap(live_[random_.below(live_.size())], live_.back());
    const std::uint64_t object = live_.back();
    live_.pop_back();
    return object;
  }

  Random random_;
  Law size_;
  std::uint64_t allocations_;
  std::uint64_t high_;
  std::uint64_t low_;
  Victim victim_;
  unsigned log2_alignment_;
  std::vector<std::uint64_t> live_;
  std::size_t oldest_ = 0;
  std::uint64_t born_ = 0;
  bool filling_ = true;
  bool ended_ = false;
};

// Frames (or requests, or tasks) whose objects all end with them, the last born first. A frame may hold scopes of its
// own.
class FramesGenerator final : public Generator {
 public:
  FramesGenerator(const std::uint64_t* program, std::uint64_t seed, const std::uint64_t* words)
      : random_(seed),
        frames_(words[0]),
        objects_(program + words[1]),
        scopes_(program + words[2]),
        scope_objects_(program + words[3]),
        class_law_(program + words[5]),
        classes_(read_classes(program, words + 6, words[4])) {}

  void next(std::vector<TraceEvent>& events) override {
    for (; frames_ > 0 && events.size() < kPortion; --frames_) {
      const std::uint64_t scopes = scopes_.draw(random_);
      begin(events);
      fill(events, objects_.draw(random_));
      for (std::uint64_t i = 0; i < scopes; ++i) {
        begin(events);
        fill(events, scope_objects_.draw(random_));
        end(events);
      }
      end(events);
    }
  }

 private:
  struct Live {
    std::uint64_t object;
    std::uint64_t death;  // in allocations since the start; ~0: with its scope
  };

  void begin(std::vector<TraceEvent>& events) {
    events.push_back(TraceEvent::make(Kind::scope_begin, 0));
    starts_.push_back(live_.size());
  }

  void fill(std::vector<TraceEvent>& events, std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      expire(events);
      const ObjectClass& objects = classes_[class_law_.draw(random_)];
      events.push_back(TraceEvent::make(objects.kind, born_, objects.size.draw(random_), objects.log2_alignment));
      const std::uint64_t death = objects.lives_forever
                                      ? ~std::uint64_t{0}
                                      : born_ + std::max<std::uint64_t>(1, objects.lifetime.draw(random_));
      some_expire_ |= !objects.lives_forever;
      live_.push_back({born_++, death});
    }
  }

  // Frees what has died in the innermost scope; the frames of programs hold hundreds of objects, so a scan will do.
  void expire(std::vector<TraceEvent>& events) {
    if (!some_expire_) return;
    const auto first = live_.begin() + static_cast<std::ptrdiff_t>(starts_.back());
    const auto dead = std::stable_partition(first, live_.end(), [&](const Live& each) { return each.death > born_; });
    for (auto each = dead; each != live_.end(); ++each)
      events.push_back(TraceEvent::make(Kind::deallocate, each->object));
    live_.erase(dead, live_.end());
  }

  void end(std::vector<TraceEvent>& events) {
    events.push_back(TraceEvent::make(Kind::scope_end, 0));
    for (; live_.size() > starts_.back(); live_.pop_back())
      events.push_back(TraceEvent::make(Kind::deallocate, live_.back().object));
    events.push_back(TraceEvent::make(Kind::scope_closed, 0));
    starts_.pop_back();
  }

  Random random_;
  std::uint64_t frames_;
  Law objects_, scopes_, scope_objects_, class_law_;
  std::vector<ObjectClass> classes_;
  std::vector<Live> live_;
  std::vector<std::size_t> starts_;
  std::uint64_t born_ = 0;
  bool some_expire_ = false;
};

}  // namespace

std::unique_ptr<Generator> make_generator(const std::uint64_t* words, std::uint64_t count) {
  if (count < 8) throw std::invalid_argument("the workload program is too short");
  switch (words[1]) {
    case 0:
      return std::make_unique<ClassesGenerator>(words, words[0], words + 2);
    case 1:
      return std::make_unique<PatternGenerator>(words, words[0], words + 2);
    case 2:
      return std::make_unique<FramesGenerator>(words, words[0], words + 2);
    default:
      throw std::invalid_argument("the workload program is of an unknown source");
  }
}

}  // namespace memtool
