// Marks and sweeps in increments, between which the program continues. A barrier preserves the collector's view of the
// graph. Either it shades each overwritten reference, which keeps everything that was reachable when the cycle began
// (snapshot), or it shades each stored reference (Dijkstra).
#pragma once

#include <utility>

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/marker.hpp"

namespace memtool::graph {

class Incremental : public OnBlocks<Incremental, 8> {
 public:
  explicit Incremental(Surroundings& in)
      : OnBlocks(in),
        marker_(heap_, in.telemetry, heap_.most_bytes()),
        begins_at_(trigger_ != 0 ? trigger_ : in.settings.limit / 4) {}

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t slot) {
    Object* object = OnBlocks::allocate(body, references, slot);
    // An object allocated during a cycle survives it.
    if (phase_ == Phase::marking && object != nullptr) static_cast<void>(heap_.mark(cell(object)));
    return object;
  }

  void write(Object* into, std::uint32_t field, Object* value) noexcept {
    Object*& at = field_of(into, field);
    if (phase_ == Phase::marking) [[unlikely]] {
      ++telemetry().barrier_hits;
      marker_.shade(in_.settings.is_dijkstra ? value : at);
    }
    at = value;
  }

  // Performs an increment if one is due.
  void at_safe_point() { advance(); }

  // Performs a whole cycle at once, after finishing one in progress.
  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    heap_.clear_marks();
    begin_marking();
    while (phase_ != Phase::idle) work(~std::size_t{0});
  }
  void forget_given_out() noexcept {
    OnBlocks::forget_given_out();
    next_at_ = 0;
  }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return heap_.apart_bytes() + marker_.apart_bytes(); }

 private:
  friend OnBlocks;
  enum class Phase : std::uint8_t { idle, sweeping, marking, settling };
  static constexpr std::size_t kParts = 64;  // units of work between two checks of the clock
  static constexpr std::size_t kBetween =
      32 << 10;  // lowest number of bytes allocated between two increments in estimates
  static constexpr std::size_t kLeastBetween = BlockHeap::kBlock;
  static constexpr std::size_t kToSpare = 8;
  static constexpr std::uint64_t kShareOfProgram = 3;  // time between two increments, in multiples of an increment
  static constexpr std::size_t kLeastComing = 8;

  [[gnu::noinline]] void* slowly(std::size_t granules) {
    if (!in_.settings.at_safe_points && !is_disabled_) advance();
    void* cell = heap_.refill(granules);
    if (cell != nullptr) return cell;
    note_forced();
    if (phase_ != Phase::idle) {
      cell = catch_up(granules);
      if (cell != nullptr) return cell;
    }
    run();
    return heap_.refill(granules);
  }

  // Performs an increment if one is due.
  void advance() {
    if (!is_next()) return;
    {
      const Pausing pausing(telemetry(), Cause::increment);
      if (phase_ == Phase::idle) begin_cycle();
      ++increments_;
      do note(work(kParts));
      while (phase_ != Phase::idle && pausing.elapsed() < in_.settings.pause_ticks);
    }
    ended_ = telemetry().clock.lap();
    next_at_ = heap_.given_out() + until_next();
    if (phase_ == Phase::idle) end_cycle();
  }
  // A cycle begins after a certain amount of allocation. So does an increment. It begins earlier if the program has had
  // its share of the time, because objects allocated during a cycle survive it, dead or alive.
  [[nodiscard]] bool is_next() noexcept {
    if (phase_ == Phase::idle) return heap_.given_out() >= begins_at_;
    return heap_.given_out() >= next_at_ ||
           telemetry().clock.lap() - ended_ >= kShareOfProgram * in_.settings.pause_ticks;
  }
  // Memory is exhausted before the cycle is over, because the program was faster.
  void* catch_up(std::size_t granules) {
    void* cell = nullptr;
    {
      const Pausing pausing(telemetry(), Cause::overtaken);
      while (cell == nullptr && phase_ != Phase::idle) {
        work(kParts);
        if (phase_ == Phase::settling || phase_ == Phase::idle) cell = heap_.refill(granules);
      }
    }
    if (phase_ == Phase::idle) end_cycle();
    return cell;
  }

  // Does about this much of a cycle's work, and returns how much it did.
  std::size_t work(std::size_t parts) noexcept {
    switch (phase_) {
      case Phase::sweeping:  // blocks that still have to be swept need their marks
        if (!heap_.sweep_one()) begin_marking();
        return 1;
      case Phase::marking:
        parts = marker_.step(parts);
        if (!marker_.has_work() && in_.settings.is_dijkstra) marker_.shade_roots(in_.roots);
        if (!marker_.has_work()) {
          heap_.begin_settling();
          phase_ = Phase::settling;
        }
        return parts;
      case Phase::settling:
        if (!heap_.settle(parts)) phase_ = Phase::idle;
        return parts;
      case Phase::idle:
        break;
    }
    return 0;
  }
  void note(std::size_t done) noexcept { telemetry().most_work = std::max<std::uint64_t>(telemetry().most_work, done); }
  void begin_cycle() noexcept {
    phase_ = Phase::sweeping;
    increments_before_ = std::exchange(increments_, 0);
  }
  void begin_marking() noexcept {
    if (in_.before_marking) in_.before_marking();
    phase_ = Phase::marking;
    ++telemetry().collections;
    marker_.forget();
    marked_before_ = telemetry().marked_bytes;
    given_before_ = heap_.given_out();
    marker_.shade_roots(in_.roots);
  }
  // The next cycle begins when the free memory is what its increments are likely to need, with a wide margin.
  void end_cycle() {
    kept_ = marked() + heap_.given_out() - given_before_;
    forget_given_out();
    const std::size_t room = in_.settings.limit - std::min<std::size_t>(in_.settings.limit, kept_);
    if (trigger_ == 0) begins_at_ = room - std::clamp(kToSpare * increments_ * kBetween, room / 2, room / 4 * 3);
    done();
  }
  [[nodiscard]] std::size_t marked() const noexcept { return in_.telemetry.marked_bytes - marked_before_; }

  // Bytes to allocate before the next increment, so that the expected increments fit into most of the free memory. The
  // estimate assumes that an eighth of the largest possible marking work, and some increments, are still to come.
  [[nodiscard]] std::size_t until_next() const noexcept {
    const std::size_t followed = marker_.followed_bytes();
    const std::size_t all = kept_ + given_before_;
    const std::size_t left = std::max(all - std::min(all, followed), all / 8);
    const bool is_known = phase_ == Phase::marking && followed != 0;
    const std::size_t coming = std::max(is_known ? left * increments_ / followed : increments_before_, kLeastComing);
    const std::size_t used = kept_ + heap_.given_out();
    const std::size_t room = in_.settings.limit - std::min<std::size_t>(in_.settings.limit, used);
    return std::max(kLeastBetween, room / 4 * 3 / coming);
  }

  Marker<Layout<8>> marker_;
  Phase phase_ = Phase::idle;
  std::size_t begins_at_;
  std::size_t next_at_ = 0;  // allocation count at which the next increment begins
  std::uint64_t ended_ = 0;  // time at which the last increment ended
  std::size_t increments_ = 0;
  std::size_t increments_before_ = 0;  // in the previous cycle
  std::size_t kept_ = 0;               // bytes that the previous cycle kept
  std::uint64_t marked_before_ = 0;    // bytes marked before this cycle
  std::size_t given_before_ = 0;
};

}  // namespace memtool::graph
