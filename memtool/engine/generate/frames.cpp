// Frames (or requests, or tasks): all objects of a frame end with it.
#include "engine/generate/parts.hpp"

namespace memtool {
namespace {

// A frame allocates its own objects and then runs its scopes one after another; each of them may hold further scopes.
// At its end everything allocated in it is freed, the youngest first. An object that is resized grows directly after
// its allocation, while it is still the youngest, like a string that is being assembled.
class FramesGenerator final : public Generator {
 public:
  FramesGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : random_(seed),
        frames_(words[0]),
        depth_(words[1]),
        frame_objects_(program + words[2]),
        scopes_(program + words[3]),
        scope_objects_(program + words[4]),
        class_law_(program + words[6]),
        classes_(read_classes(program, words + 7, words[5])) {}

  void next(std::vector<TraceEvent>& events) override {
    while (events.size() < kPortion) {
      if (!growth_.ended()) {
        growth_.next(events);
        continue;
      }
      if (open_.empty()) {
        if (frames_ == 0) return;
        --frames_;
        begin(events, frame_objects_);
        continue;
      }
      Scope& scope = open_.back();
      if (scope.objects > 0) {
        --scope.objects;
        allocate(events);
      } else if (scope.scopes > 0) {
        --scope.scopes;
        begin(events, scope_objects_);
      } else {
        end(events, scope);
      }
    }
  }

 private:
  struct Scope {
    std::uint64_t first;    // object
    std::uint64_t objects;  // still to be allocated
    std::uint64_t scopes;   // still to be run
    bool ending = false;
  };

  void begin(std::vector<TraceEvent>& events, const Law& objects) {
    events.push_back(TraceEvent::make(Kind::scope_begin, 0));
    const std::uint64_t count = objects.draw(random_);
    const std::uint64_t scopes = open_.size() < depth_ ? scopes_.draw(random_) : 0;
    open_.push_back({.first = live_.size(), .objects = count, .scopes = scopes});
  }

  void allocate(std::vector<TraceEvent>& events) {
    const ObjectClass& objects = classes_[class_law_.draw(random_)];
    const std::uint64_t size = objects.size.draw(random_);
    events.push_back(TraceEvent::make(objects.kind, born_, size, objects.log2_alignment));
    growth_.begin(objects, born_, size, 0, objects.draw_resizes(random_));
    live_.push_back(born_++);
  }

  // Frees a scope's objects as far as the portion has room for them.
  void end(std::vector<TraceEvent>& events, Scope& scope) {
    if (!scope.ending) events.push_back(TraceEvent::make(Kind::scope_end, 0));
    scope.ending = true;
    for (; live_.size() > scope.first && events.size() < kPortion; live_.pop_back())
      events.push_back(TraceEvent::make(Kind::deallocate, live_.back()));
    if (live_.size() > scope.first) return;
    events.push_back(TraceEvent::make(Kind::scope_closed, 0));
    open_.pop_back();
  }

  Random random_;
  std::uint64_t frames_;
  std::uint64_t depth_;
  Law frame_objects_, scopes_, scope_objects_, class_law_;
  std::vector<ObjectClass> classes_;
  std::vector<std::uint64_t> live_;
  std::vector<Scope> open_;
  Growth growth_;  // of the youngest object
  std::uint64_t born_ = 0;
};

}  // namespace

MakeGenerator* const make_frames_generator = made<FramesGenerator>;

}  // namespace memtool
