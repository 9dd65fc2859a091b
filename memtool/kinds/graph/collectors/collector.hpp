// The common part of all collectors: when collections may begin, and how the program controls them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>

#include "allocators/concept/region.hpp"
#include "kinds/graph/collectors/header.hpp"
#include "kinds/graph/collectors/settings.hpp"
#include "kinds/graph/play/play.hpp"

namespace memtool::graph {

// The environment of a collector.
struct Surroundings {
  Region& region;
  Settings settings;
  Roots roots;
  Telemetry& telemetry;
  std::function<void()>
      before_marking;  // called when incremental marking begins; garbage that exists then is reclaimed
  std::function<void()> after_collection;  // called when a collection is over and nothing new has been reclaimed yet
};

// `D` has collect(), and given_out() with forget_given_out(): the bytes allocated since the last collection.
template <class D, std::size_t H>
class Collector : public PlainRoots<D>, public Layout<H> {
 public:
  static constexpr bool kIsExplicit = false;

  explicit Collector(Surroundings& in)
      : PlainRoots<D>(in.roots.first),
        in_(in),
        trigger_(in.settings.trigger),
        soft_(in.settings.trigger != 0 ? in.settings.trigger : in.settings.limit / 2) {}

  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }

  void control(Control what) {
    if (what == Control::safe_point && in_.settings.at_safe_points && !is_disabled_) self().at_safe_point();
    if (what == Control::collect && !is_disabled_) run();
    if (what == Control::disable) is_disabled_ = true;
    if (what == Control::enable) is_disabled_ = false;
  }

  // A place at which collections may begin if they are restricted to safe points.
  void at_safe_point() {
    if (self().given_out() >= soft_) run();
  }
  // Performs a full collection and records it.
  void run() {
    self().collect();
    self().forget_given_out();
    done();
  }

 protected:
  D& self() noexcept { return static_cast<D&>(*this); }
  void done() {
    if (in_.after_collection) in_.after_collection();
  }
  // Whether the trigger requests a collection at this allocation.
  [[nodiscard]] bool is_due() noexcept {
    return trigger_ != 0 && !in_.settings.at_safe_points && !is_disabled_ && self().given_out() >= trigger_;
  }
  // Memory is exhausted, so a collection is necessary, whatever the settings.
  void note_forced() noexcept {
    if (in_.settings.at_safe_points || is_disabled_) ++in_.telemetry.forced;
  }
  [[nodiscard]] Telemetry& telemetry() noexcept { return in_.telemetry; }

  Surroundings& in_;
  std::uint64_t trigger_;
  std::uint64_t soft_;
  bool is_disabled_ = false;
};

}  // namespace memtool::graph
