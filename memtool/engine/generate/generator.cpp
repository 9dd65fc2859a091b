#include "engine/generate/generator.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <utility>
#include <vector>

#include "engine/generate/parts.hpp"

namespace memtool {
namespace {

constexpr std::uint32_t kNone = ~std::uint32_t{0};
constexpr std::uint64_t kMostResizes = ~std::uint32_t{0};

// The future events of live objects, by tick: one list for each tick, the most recently scheduled event first. Lists
// exist only for pages of ticks in which something will happen, and not for past ones. So the memory needed depends on
// the live objects, not on the length of the run.
class Calendar {
 public:
  struct Entry {
    std::uint64_t object;
    std::uint64_t size;
    std::uint64_t death;  // tick; ~0: never
    std::uint32_t object_class;
    std::uint32_t resizes;  // number of resizes still to come
    std::uint32_t next = kNone;
    std::uint32_t thread = 0;  // the thread that allocated it
  };

  explicit Calendar(std::uint64_t ticks) : ticks_(ticks + 1), pages_(ticks / kPageTicks + 1) {}

  void schedule(const Entry& entry, std::uint64_t tick) {
    std::uint32_t index = free_;
    if (index == kNone) {
      index = static_cast<std::uint32_t>(entries_.size());
      entries_.push_back(entry);
    } else {
      free_ = entries_[index].next;
      entries_[index] = entry;
    }
    // Objects that outlive the calendar are kept in a list of their own.
    std::uint32_t& head = tick < ticks_ ? head_of(tick) : survivors_;
    entries_[index].next = head;
    head = index;
  }

  // Calls visit(entry) for everything due at `tick`. The visitor may schedule events for later ticks.
  template <class Visit>
  void due(std::uint64_t tick, Visit visit) {
    std::unique_ptr<Page>& page = pages_[tick / kPageTicks];
    if (page == nullptr) return;
    std::uint32_t index = std::exchange((*page)[tick % kPageTicks], kNone);
    while (index != kNone) {
      const Entry entry = entries_[index];
      entries_[index].next = free_;
      free_ = index;
      index = entry.next;
      visit(entry);
    }
    if (tick % kPageTicks == kPageTicks - 1) spare_ = std::move(page);
  }

  // Returns the objects that nothing has freed. Adds their outstanding resizes to `resizes`.
  [[nodiscard]] std::vector<Epilogue::Survivor> remaining(std::uint64_t& resizes) const {
    std::vector<Epilogue::Survivor> objects;
    const auto collect = [&](std::uint32_t index) {
      for (; index != kNone; index = entries_[index].next) {
        objects.push_back({entries_[index].object, entries_[index].thread});
        resizes += entries_[index].resizes;
      }
    };
    for (const std::unique_ptr<Page>& page : pages_)
      if (page != nullptr) std::ranges::for_each(*page, collect);
    collect(survivors_);
    return objects;
  }

 private:
  static constexpr std::size_t kPageTicks = 1024;
  using Page = std::array<std::uint32_t, kPageTicks>;

  std::uint32_t& head_of(std::uint64_t tick) {
    std::unique_ptr<Page>& page = pages_[tick / kPageTicks];
    if (page == nullptr) {
      page = spare_ != nullptr ? std::move(spare_) : std::make_unique<Page>();
      page->fill(kNone);
    }
    return (*page)[tick % kPageTicks];
  }

  std::uint64_t ticks_;
  std::vector<std::unique_ptr<Page>> pages_;
  std::unique_ptr<Page> spare_;
  std::vector<Entry> entries_;
  std::uint32_t free_ = kNone;
  std::uint32_t survivors_ = kNone;
};

// A weighted mix of classes in several phases. The clock counts allocations. During a ramp it stands still, so that no
// object dies; during a drain it runs without allocations.
class ClassesGenerator final : public Generator {
 public:
  ClassesGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : random_(seed),
        threads_(words[2]),
        classes_(read_classes(program, words + 3, words[0])),
        calendar_(clock_ticks(words)) {
    const std::uint64_t* phase = words + 3 + words[0] * kClassWords;
    for (std::uint64_t i = 0; i < words[1]; ++i, phase += 3)
      phases_.push_back({static_cast<PhaseKind>(phase[0]), phase[1], Law(program + phase[2])});
  }

  void next(std::vector<TraceEvent>& events) override {
    while (phase_ < phases_.size() && events.size() < kPortion) {
      Phase& phase = phases_[phase_];
      growth_.next(events);
      if (!growth_.ended()) return;
      if (phase.ticks == 0) {
        ++phase_;
        continue;
      }
      --phase.ticks;
      if (phase.kind != PhaseKind::ramp) {
        ++clock_;
        calendar_.due(clock_, [&](const Calendar::Entry& entry) { happen(events, entry); });
      }
      if (phase.kind != PhaseKind::drain) allocate(events, phase.class_law.draw(random_));
    }
    growth_.next(events);
    if (phase_ < phases_.size() || !growth_.ended()) return;
    if (!epilogue_.begun()) epilogue_.begin(calendar_.remaining(left_out_));
    epilogue_.next(events);
  }

  [[nodiscard]] std::uint64_t resizes_left_out() const noexcept override { return left_out_; }

 private:
  enum class PhaseKind : std::uint64_t { ramp, steady, drain };
  struct Phase {
    PhaseKind kind;
    std::uint64_t ticks;
    Law class_law;
  };

  static std::uint64_t clock_ticks(const std::uint64_t* words) {
    const std::uint64_t* phase = words + 3 + words[0] * kClassWords;
    std::uint64_t ticks = 0;
    for (std::uint64_t i = 0; i < words[1]; ++i, phase += 3)
      if (static_cast<PhaseKind>(phase[0]) != PhaseKind::ramp) ticks += phase[1];
    return ticks;
  }

  void allocate(std::vector<TraceEvent>& events, std::uint64_t object_class) {
    const ObjectClass& objects = classes_[object_class];
    Calendar::Entry entry{.object = born_++,
                          .size = objects.size.draw(random_),
                          .death = ~std::uint64_t{0},
                          .object_class = static_cast<std::uint32_t>(object_class),
                          .resizes = 0};
    // A single thread draws nothing, so that workloads without threads keep their events.
    if (threads_ > 1) entry.thread = static_cast<std::uint32_t>(random_.below(threads_));
    events.push_back(TraceEvent::make(objects.kind, entry.object, entry.size, objects.log2_alignment, entry.thread));
    if (!objects.lives_forever) {
      const std::uint64_t drawn = objects.lifetime.draw(random_);
      const std::uint64_t passed = objects.dies_at_tick ? std::min(clock_, drawn) : 0;
      const std::uint64_t lifetime = std::max<std::uint64_t>(1, drawn - passed);
      entry.death = clock_ + lifetime;
      if (!objects.grows_at_birth) {
        // Each resize has its own tick, and so does the death.
        const std::uint64_t resizes = objects.draw_resizes(random_);
        entry.resizes = static_cast<std::uint32_t>(std::min({resizes, lifetime - 1, kMostResizes}));
        left_out_ += resizes - entry.resizes;
      }
    }
    if (objects.grows_at_birth)
      growth_.begin(objects, entry.object, entry.size, entry.thread, objects.draw_resizes(random_));
    schedule(entry);
  }

  // Spreads an object's resizes evenly over the rest of its life.
  void schedule(const Calendar::Entry& entry) {
    const bool resizes = entry.resizes != 0;
    calendar_.schedule(entry, resizes ? clock_ + (entry.death - clock_) / (entry.resizes + 1) : entry.death);
  }

  void happen(std::vector<TraceEvent>& events, const Calendar::Entry& due) {
    if (due.resizes == 0) {
      std::uint64_t thread = due.thread;
      if (threads_ > 1 && classes_[due.object_class].freed_by_other)
        thread = (thread + 1 + random_.below(threads_ - 1)) % threads_;
      events.push_back(TraceEvent::make(Kind::deallocate, due.object, 0, 0, thread));
      return;
    }
    Calendar::Entry entry = due;
    entry.size = classes_[due.object_class].resized(due.size);
    --entry.resizes;
    events.push_back(TraceEvent::make(Kind::reallocate, due.object, entry.size, 0, due.thread));
    schedule(entry);
  }

  Random random_;
  std::uint64_t threads_;
  std::vector<ObjectClass> classes_;
  Calendar calendar_;
  std::vector<Phase> phases_;
  std::size_t phase_ = 0;
  std::uint64_t clock_ = 0;
  std::uint64_t born_ = 0;
  Growth growth_;  // of the youngest object
  std::uint64_t left_out_ = 0;
  Epilogue epilogue_;
};

}  // namespace

MakeGenerator* const make_classes_generator = made<ClassesGenerator>;

std::unique_ptr<Generator> make_generator(const std::uint64_t* words, std::uint64_t count) {
  constexpr std::uint64_t kHead = 3;
  if (count <= kHead) throw std::invalid_argument("the workload program is too short");
  const std::array<MakeGenerator*, 10> sources{make_classes_generator, make_fill_generator,    make_frames_generator,
                                               make_toggle_generator,  make_threads_generator, make_exchange_generator,
                                               make_sharing_generator, make_buffer_generator,  make_refill_generator,
                                               make_sweep_generator};
  if (words[1] >= sources.size()) throw std::invalid_argument("the workload program is of an unknown source");
  auto source = sources[words[1]](words, words + kHead, words[0]);
  return words[2] == 0 ? std::move(source) : make_marks_generator(std::move(source), words + words[2]);
}

}  // namespace memtool
