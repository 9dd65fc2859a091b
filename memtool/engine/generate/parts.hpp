// The common parts of the generators.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/events/events.hpp"
#include "engine/generate/generator.hpp"
#include "engine/generate/random.hpp"

namespace memtool {

// Events are passed on in portions of about this many, so that a trace of any length needs bounded memory.
inline constexpr std::size_t kPortion = std::size_t{1} << 16;
inline constexpr std::uint64_t kClassWords = 12;
inline constexpr std::uint64_t kLargestSize = std::uint64_t{1} << 47;

// A class of objects: the laws by which its members are drawn.
struct ObjectClass {
  ObjectClass(const std::uint64_t* program, const std::uint64_t* words) noexcept
      : size(program + words[0]),
        lifetime(program + words[1]),
        lives_forever(words[1] == 0),
        log2_alignment(static_cast<unsigned>(words[2])),
        kind(words[3] != 0 ? Kind::allocate_zeroed : Kind::allocate),
        resize_threshold(words[4]),
        resizes(program + words[5]),
        growth_numerator(words[6]),
        growth_denominator(words[7]),
        freed_by_other(words[8] != 0),
        grows_at_birth(words[9] != 0),
        growth_addend(words[10]),
        dies_at_tick(words[11] != 0) {}

  // A size of 0 stays 0 unless bytes are added. Any other size never becomes 0.
  [[nodiscard]] std::uint64_t resized(std::uint64_t bytes) const noexcept {
    if (bytes == 0) return std::min(growth_addend, kLargestSize);
    const auto grown = static_cast<unsigned __int128>(bytes) * growth_numerator / growth_denominator + growth_addend;
    return static_cast<std::uint64_t>(std::clamp<unsigned __int128>(grown, 1, kLargestSize));
  }
  // Draws how often a new object is resized.
  [[nodiscard]] std::uint64_t draw_resizes(Random& random) const noexcept {
    if (resize_threshold == 0 || random.next() > resize_threshold) return 0;
    return resizes.draw(random);
  }

  Law size;
  Law lifetime;
  bool lives_forever;
  unsigned log2_alignment;
  Kind kind;
  std::uint64_t resize_threshold;
  Law resizes;
  std::uint64_t growth_numerator;
  std::uint64_t growth_denominator;
  bool freed_by_other;
  bool grows_at_birth;
  std::uint64_t growth_addend;
  bool dies_at_tick;  // the lifetime law draws the tick by which the object dies
};

// The resizes of an object that directly follow its allocation, as far as a portion has room for them.
class Growth {
 public:
  void begin(const ObjectClass& objects, std::uint64_t object, std::uint64_t size, std::uint64_t thread,
             std::uint64_t resizes) noexcept {
    objects_ = &objects;
    object_ = object;
    size_ = size;
    thread_ = thread;
    left_ = resizes;
  }
  [[nodiscard]] bool ended() const noexcept { return left_ == 0; }

  void next(std::vector<TraceEvent>& events) {
    for (; left_ > 0 && events.size() < kPortion; --left_) {
      size_ = objects_->resized(size_);
      events.push_back(TraceEvent::make(Kind::reallocate, object_, size_, 0, thread_));
    }
  }

 private:
  const ObjectClass* objects_ = nullptr;
  std::uint64_t object_ = 0;
  std::uint64_t size_ = 0;
  std::uint64_t thread_ = 0;
  std::uint64_t left_ = 0;
};

inline std::vector<ObjectClass> read_classes(const std::uint64_t* program, const std::uint64_t* words,
                                             std::uint64_t count) {
  std::vector<ObjectClass> classes;
  classes.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) classes.emplace_back(program, words + i * kClassWords);
  return classes;
}

// Frees the objects that a workload leaves alive, in order of birth.
class Epilogue {
 public:
  struct Survivor {
    std::uint64_t object;
    std::uint64_t thread = 0;  // the thread that frees it
  };

  void begin(std::vector<Survivor> survivors) {
    survivors_ = std::move(survivors);
    std::ranges::sort(survivors_, {}, &Survivor::object);
    begun_ = true;
  }
  [[nodiscard]] bool begun() const noexcept { return begun_; }

  void next(std::vector<TraceEvent>& events) {
    if (at_ == 0 && !survivors_.empty()) events.push_back(TraceEvent::make(Kind::epilogue, 0));
    for (; at_ < survivors_.size() && events.size() < kPortion; ++at_)
      events.push_back(TraceEvent::make(Kind::deallocate, survivors_[at_].object, 0, 0, survivors_[at_].thread));
  }

 private:
  std::vector<Survivor> survivors_;
  std::size_t at_ = 0;
  bool begun_ = false;
};

// Makes the generator of a source from (program, the source's own words, seed).
using MakeGenerator = std::unique_ptr<Generator>(const std::uint64_t*, const std::uint64_t*, std::uint64_t);
template <class G>
std::unique_ptr<Generator> made(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed) {
  return std::make_unique<G>(program, words, seed);
}
extern MakeGenerator* const make_classes_generator;
extern MakeGenerator* const make_fill_generator;
extern MakeGenerator* const make_frames_generator;
extern MakeGenerator* const make_toggle_generator;
extern MakeGenerator* const make_threads_generator;
extern MakeGenerator* const make_exchange_generator;
extern MakeGenerator* const make_sharing_generator;
extern MakeGenerator* const make_buffer_generator;
extern MakeGenerator* const make_refill_generator;
extern MakeGenerator* const make_sweep_generator;

// The events of `source` with marks inserted. `words` has the form described in engine/generate/generator.hpp.
std::unique_ptr<Generator> make_marks_generator(std::unique_ptr<Generator> source, const std::uint64_t* words);

}  // namespace memtool
