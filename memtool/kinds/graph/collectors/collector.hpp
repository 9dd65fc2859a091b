// The common part of all collectors: when collections may begin, and how the program controls them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "allocators/concept/region.hpp"
#include "kinds/graph/collectors/block_heap.hpp"
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

// The common part of collectors whose objects lie in the cells of a BlockHeap. `D` has slowly(granules), which finds a
// cell if the heap has none at hand, and returns nullptr if memory is exhausted.
template <class D, std::size_t H>
class OnBlocks : public Collector<D, H> {
 public:
  explicit OnBlocks(Surroundings& in) : Collector<D, H>(in), heap_(in.region, in.settings.limit, in.settings.poisons) {}

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t) {
    const std::size_t granules = this->granules(body);
    void* cell = heap_.take(granules);
    if (cell == nullptr) [[unlikely]] {
      cell = this->self().slowly(granules);
      if (cell == nullptr) return nullptr;
    }
    word_at(cell) = Header::make(granules, references);
    return this->object(cell);
  }
  [[nodiscard]] std::size_t given_out() const noexcept { return heap_.given_out(); }
  void forget_given_out() noexcept { heap_.forget_given_out(); }
  template <class Visit>
  void walk(Visit visit) {
    heap_.walk([&](std::byte* cell) { visit(this->object(cell)); });
  }

 protected:
  BlockHeap heap_;
};

// The common part of collectors whose allocation moves a pointer. `D` has make_room(bytes), which returns false if
// memory is exhausted.
template <class D>
class MovesPointer : public Collector<D, 8> {
 public:
  using Collector<D, 8>::Collector;

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t) {
    const std::size_t granules = this->granules(body);
    const std::size_t bytes = granules * kGranule;
    if (bytes > static_cast<std::size_t>(end_ - at_)) [[unlikely]] {
      if (!this->self().make_room(bytes)) return nullptr;
    }
    std::byte* cell = at_;
    at_ += bytes;
    word_at(cell) = Header::make(granules, references);
    return this->object(cell);
  }
  [[nodiscard]] std::size_t given_out() const noexcept { return static_cast<std::size_t>(at_ - survivors_); }
  void forget_given_out() noexcept {}

 protected:
  std::byte* at_ = nullptr;
  std::byte* end_ = nullptr;
  std::byte* survivors_ = nullptr;  // end of the objects that the last collection kept
};

}  // namespace memtool::graph
