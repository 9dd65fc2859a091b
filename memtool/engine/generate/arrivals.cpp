#include "engine/generate/arrivals.hpp"

#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/generate/random.hpp"

namespace memtool {

namespace {
// Finds the operations of an image that begin a frame.
class Frames {
 public:
  explicit Frames(const std::uint64_t* words) noexcept : at_(words) {}

  // Whether the next operation begins a frame.
  bool begins() noexcept {
    bool is_first = false;
    for (;; at_ += word::length(*at_)) {
      const Kind kind = word::kind(*at_);
      if (kind == Kind::scope_begin) {
        is_first |= depth_ == 0;
        ++depth_;
      } else if (kind == Kind::scope_end) {
        --depth_;
      } else if (word::is_operation(*at_)) {
        at_ += word::length(*at_);
        return is_first;
      }
    }
  }

 private:
  const std::uint64_t* at_;
  std::size_t depth_ = 0;
};
}  // namespace

void schedule_arrivals(const std::uint64_t* program, std::uint64_t* starts, std::size_t count,
                       const std::uint64_t* words) noexcept {
  Random random(program[0]);
  const std::uint64_t burst = program[1];
  const Law gap(program + 2);
  Frames frames(words);
  std::uint64_t now = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (burst != 0 ? i % burst == 0 : frames.begins()) now += gap.draw(random);
    starts[i] = now;
  }
}

void memtool_schedule_arrivals(const uint64_t* program, uint64_t* starts, uint64_t count) {
  schedule_arrivals(program, starts, count, nullptr);
}

}  // namespace memtool
