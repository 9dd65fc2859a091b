// The settings of a collector, and its report about its work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/instruments/clock.hpp"
#include "kinds/graph/play/object.hpp"

namespace memtool::graph {

struct Settings {
  std::uint64_t limit = 0;  // bytes for objects
  std::uint64_t trigger =
      0;  // collects after this many bytes of allocation since the last collection; 0: when the heap is full
  bool at_safe_points = false;    // collections begin only there, unless memory is exhausted earlier
  std::uint64_t pause_ticks = 0;  // duration of one increment
  std::uint64_t nursery = 0;      // in bytes; 0: an eighth of the limit
  bool finds_cycles = false;      // for reference counting: by trial deletion
  bool is_dijkstra = false;       // for increments: shades stored references, not overwritten ones
  bool poisons = false;           // fills reclaimed memory
  bool reclaims = true;  // false, for reference counting: keeps dead objects, to show what counting alone costs
};

// The roots of the program.
struct Roots {
  Object** first;
  std::size_t count;
};

// The reason for a pause. memtool/kinds/graph/results.py has the same list.
enum class Cause : std::uint64_t {
  whole,      // a collection of the whole heap
  nursery,    // a collection of the nursery
  increment,  // an increment of a collection
  overtaken,  // the rest of a collection at once, because allocation was faster than marking and memory is exhausted
  roots,      // counting the references of the roots
  deaths,     // many objects have lost their last reference at once
};
struct Pause {
  std::uint64_t begin;  // ticks
  std::uint64_t end;
  Cause cause;
  std::uint64_t processor_ns;  // processor time of the pause, if it is timed; less than its length if other threads had
                               // the processor
};

struct Telemetry {
  explicit Telemetry(const Clock& of) : clock(of) {}

  Clock clock;
  std::uint64_t collections = 0;  // of the whole heap
  std::uint64_t minor = 0;        // of the nursery only
  std::uint64_t forced = 0;       // begun where none was permitted, because memory was exhausted
  std::uint64_t marked_bytes = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t promoted_bytes = 0;
  std::uint64_t barrier_hits = 0;  // barriers that had something to do
  std::uint64_t most_work = 0;     // largest number of references, objects and blocks between two checks of the clock
  bool times_processor = false;    // measures the processor time of pauses
  std::vector<Pause> pauses;

  void clear() {
    const bool times = times_processor;
    *this = Telemetry(clock);
    times_processor = times;
    pauses.reserve(kKept);
  }
  [[nodiscard]] std::uint64_t processor_time() const noexcept {
    return times_processor ? Clock::thread_cpu_nanoseconds() : 0;
  }
  static constexpr std::size_t kKept = 1 << 12;
};

// A pause lasts as long as this object exists.
class Pausing {
 public:
  Pausing(Telemetry& telemetry, Cause cause) noexcept
      : telemetry_(telemetry), cause_(cause), processor_(telemetry.processor_time()), begin_(telemetry.clock.start()) {}
  ~Pausing() {
    const std::uint64_t end = telemetry_.clock.stop();
    telemetry_.pauses.push_back({begin_, end, cause_, telemetry_.processor_time() - processor_});
  }
  Pausing(const Pausing&) = delete;
  Pausing& operator=(const Pausing&) = delete;
  void becomes(Cause cause) noexcept { cause_ = cause; }
  [[nodiscard]] std::uint64_t elapsed() const noexcept { return telemetry_.clock.lap() - begin_; }

 private:
  Telemetry& telemetry_;
  Cause cause_;
  std::uint64_t processor_;
  std::uint64_t begin_;
};

}  // namespace memtool::graph
