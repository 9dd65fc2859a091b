// How a collector is controlled, and what it says of its work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/instruments/clock.hpp"
#include "kinds/graph/play/object.hpp"

namespace memtool::graph {

struct Settings {
  std::uint64_t limit = 0;        // bytes for objects
  std::uint64_t trigger = 0;      // collects once so many bytes were allocated since the last time; 0: when it is full
  bool at_safe_points = false;    // only there, unless memory is out before
  std::uint64_t pause_ticks = 0;  // of one increment
  std::uint64_t nursery = 0;      // bytes; 0: an eighth of the limit
  bool finds_cycles = false;      // of counts: by trial deletion
  bool is_dijkstra = false;       // of increments: shades what is stored, and not what is overwritten
  bool poisons = false;           // fills what it reclaims
  bool reclaims = true;           // false, of counts: keeps what they say is dead, to see what counting costs
};

// The program's roots.
struct Roots {
  Object** first;
  std::size_t count;
};

// Why the program stands still. memtool/kinds/graph/results.py has the same.
enum class Cause : std::uint64_t {
  whole,      // the whole heap is collected
  nursery,    // the young are
  increment,  // a part of a collection
  overtaken,  // the rest of one at once: the program allocated faster than was marked, and memory is out
  roots,      // what roots refer to is counted
  deaths,     // many objects at once have lost their last reference
};
struct Pause {
  std::uint64_t begin;  // ticks
  std::uint64_t end;
  Cause cause;
  std::uint64_t processor_ns;  // of it, where that is timed: less than its length where others had the processor
};

struct Telemetry {
  explicit Telemetry(const Clock& of) : clock(of) {}

  Clock clock;
  std::uint64_t collections = 0;  // of the whole heap
  std::uint64_t minor = 0;        // of the young alone
  std::uint64_t forced = 0;       // begun because memory was out where none was to begin
  std::uint64_t marked_bytes = 0;
  std::uint64_t copied_bytes = 0;
  std::uint64_t promoted_bytes = 0;
  std::uint64_t barrier_hits = 0;  // barriers that had something to do
  std::uint64_t most_work = 0;     // references, objects and blocks between two looks at the clock, at most
  bool times_processor = false;    // of pauses
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

// As long as it is there the program stands still.
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
