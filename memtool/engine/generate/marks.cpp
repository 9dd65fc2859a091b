// Marks: named moments among the events of any source. The other events are the same as without marks.
#include <utility>

#include "engine/generate/parts.hpp"

namespace memtool {
namespace {

class MarksGenerator final : public Generator {
 public:
  MarksGenerator(std::unique_ptr<Generator> source, const std::uint64_t* words)
      : source_(std::move(source)), counts_frames_(words[1] != 0), after_(words + 2, words + 2 + words[0]) {}

  void next(std::vector<TraceEvent>& events) override {
    if (next_ == after_.size()) return source_->next(events);
    portion_.clear();
    source_->next(portion_);
    for (const TraceEvent& event : portion_) {
      const bool ends_frame = note_scope(event.kind());
      if (counts_frames_ && ends_frame) count(events);
      events.push_back(event);
      if (!counts_frames_ && allocates(event.kind())) count(events);
    }
  }

  [[nodiscard]] std::uint64_t resizes_left_out() const noexcept override { return source_->resizes_left_out(); }

 private:
  static bool allocates(Kind kind) noexcept { return kind == Kind::allocate || kind == Kind::allocate_zeroed; }

  // Whether the event is the first of a frame's end. A strategy with scopes skips the events that follow it.
  bool note_scope(Kind kind) noexcept {
    if (kind == Kind::scope_begin) ++depth_;
    if (kind == Kind::scope_closed) --depth_;
    return kind == Kind::scope_end && depth_ == 1;
  }

  void count(std::vector<TraceEvent>& events) {
    ++counted_;
    for (; next_ < after_.size() && after_[next_] == counted_; ++next_)
      events.push_back(TraceEvent::make(Kind::mark, next_));
  }

  std::unique_ptr<Generator> source_;
  bool counts_frames_;
  std::vector<std::uint64_t> after_;  // ascending
  std::vector<TraceEvent> portion_;
  std::size_t next_ = 0;
  std::uint64_t counted_ = 0;
  std::uint64_t depth_ = 0;
};

}  // namespace

std::unique_ptr<Generator> make_marks_generator(std::unique_ptr<Generator> source, const std::uint64_t* words) {
  return std::make_unique<MarksGenerator>(std::move(source), words);
}

}  // namespace memtool
