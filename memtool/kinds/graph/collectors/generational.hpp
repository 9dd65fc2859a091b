// Young objects in a nursery, whose survivors are copied to an old space; the old space is marked and swept. Fields of
// old objects that point into the nursery are remembered.
#pragma once

#include <cstring>
#include <new>
#include <vector>

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/marker.hpp"

namespace memtool::graph {

class Generational : public Collector<Generational, 8> {
 public:
  explicit Generational(Surroundings& in)
      : Collector(in),
        nursery_bytes_(nursery_of(in.settings, in.region.capacity())),
        nursery_(static_cast<std::byte*>(in.region.grow(nursery_bytes_))),
        at_(nursery_),
        heap_(in.region, in.settings.limit - std::min(in.settings.limit, 2 * nursery_bytes_), in.settings.poisons),
        marker_(heap_, in.telemetry, heap_.most_bytes()) {}

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t) {
    const std::size_t granules = this->granules(body);
    const std::size_t bytes = granules * kGranule;
    std::byte* cell = at_;
    if (bytes > static_cast<std::size_t>(nursery_ + nursery_bytes_ - cell)) [[unlikely]] {
      cell = slowly(granules);
      if (cell == nullptr) return nullptr;
    } else {
      at_ = cell + bytes;
    }
    word_at(cell) = Header::make(granules, references);
    return object(cell);
  }

  void write(Object* into, std::uint32_t field, Object* value) {
    Object*& at = field_of(into, field);
    if (is_young(value) && !is_young(into)) {
      ++telemetry().barrier_hits;
      remembered_.push_back(&at);
    }
    at = value;
  }

  // Collects the nursery once half of it is used.
  void at_safe_point() {
    Collector::at_safe_point();
    if (static_cast<std::size_t>(at_ - nursery_) >= nursery_bytes_ / 2) collect_young();
  }

  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    empty_nursery();
    mark_old();
  }
  [[nodiscard]] std::size_t given_out() const noexcept { return given_out_ + static_cast<std::size_t>(at_ - nursery_); }
  void forget_given_out() noexcept { given_out_ = 0; }
  [[nodiscard]] std::size_t apart_bytes() const noexcept {
    return heap_.apart_bytes() + marker_.apart_bytes() + remembered_.capacity() * sizeof(Object**) +
           promoted_.capacity() * sizeof(Object*);
  }
  template <class Visit>
  void walk(Visit visit) {
    for (std::byte* cell = nursery_; cell != at_; cell += Header(word_at(cell)).bytes()) visit(object(cell));
    heap_.walk([&](std::byte* cell) { visit(object(cell)); });
  }

 private:
  static constexpr std::size_t kPage = 4096;
  static constexpr std::size_t kLargestYoung = 4;  // the largest object for the nursery, as a fraction of the nursery

  static std::size_t nursery_of(const Settings& settings, std::size_t capacity) noexcept {
    const std::size_t bytes = settings.nursery != 0 ? settings.nursery : settings.limit / 8;
    return std::clamp(bytes / kPage * kPage, kPage,
                      std::max(std::min(settings.limit, capacity) / 2 / kPage * kPage, kPage));
  }
  [[nodiscard]] bool is_young(const Object* object) const noexcept {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(object) - nursery_) < nursery_bytes_;
  }

  // Allocates an object for which the nursery has no room.
  [[gnu::noinline]] std::byte* slowly(std::size_t granules) {
    const std::size_t bytes = granules * kGranule;
    const bool is_large = bytes > nursery_bytes_ / kLargestYoung;
    if (is_due()) {
      run();
    } else if (!is_large && !is_disabled_) {
      if (in_.settings.at_safe_points) ++telemetry().forced;
      collect_young();
      if (is_full_) return nullptr;
    }
    if (!is_large && bytes <= static_cast<std::size_t>(nursery_ + nursery_bytes_ - at_)) {
      std::byte* cell = at_;
      at_ += bytes;
      return cell;
    }
    given_out_ += bytes;
    void* cell = in_old_space(granules);
    if (cell == nullptr) {
      note_forced();
      run();
      cell = in_old_space(granules);
    }
    return static_cast<std::byte*>(cell);
  }
  void* in_old_space(std::size_t granules) noexcept {
    void* cell = heap_.take(granules);
    return cell != nullptr ? cell : heap_.refill(granules);
  }

  // Collects the nursery. Collects the whole heap if the old space has reached into the reserve for the next survivors,
  // and more than that was promoted since it was last marked.
  void collect_young() {
    {
      Pausing pausing(telemetry(), Cause::nursery);
      ++telemetry().minor;
      empty_nursery();
      const std::size_t used = heap_.in_use();
      const std::size_t most = heap_.limit();
      if (used > most + nursery_bytes_ || (used > most && promoted_since_ >= nursery_bytes_)) {
        if (is_disabled_ || in_.settings.at_safe_points) ++telemetry().forced;
        pausing.becomes(Cause::whole);
        mark_old();
        forget_given_out();
        is_full_ = heap_.in_use() > most + nursery_bytes_;
      }
    }
    done();
  }

  void empty_nursery() {
    heap_.allow_more(2 * nursery_bytes_ + kReserve);
    const auto forward = [&](Object*& reference) {
      if (reference != nullptr && is_young(reference)) reference = promote(reference);
    };
    for (std::size_t i = 0; i < in_.roots.count; ++i) forward(in_.roots.first[i]);
    for (Object** field : remembered_) forward(*field);
    remembered_.clear();
    while (!promoted_.empty()) {
      Object* moved = promoted_.back();
      promoted_.pop_back();
      const std::uint32_t references = header(moved).references();
      for (std::uint32_t i = 0; i < references; ++i) forward(field_of(moved, i));
    }
    heap_.allow_more(nursery_bytes_);
    given_out_ += static_cast<std::size_t>(at_ - nursery_);
    if (in_.settings.poisons) poison(nursery_, static_cast<std::size_t>(at_ - nursery_));
    at_ = nursery_;
  }
  Object* promote(Object* from) {
    std::byte* cell = this->cell(from);
    const Header header(word_at(cell));
    if (header.is_moved()) return object(header.new_cell());
    void* to = in_old_space(header.bytes() / kGranule);
    if (to == nullptr) throw std::bad_alloc();  // the region is smaller than the limit
    std::memcpy(to, cell, header.bytes());
    word_at(cell) = Header::moved_to(to);
    telemetry().copied_bytes += header.bytes();
    telemetry().promoted_bytes += header.bytes();
    promoted_since_ += header.bytes();
    promoted_.push_back(object(to));
    return object(to);
  }
  void mark_old() {
    ++telemetry().collections;
    promoted_since_ = 0;
    heap_.clear_marks();
    marker_.shade_roots(in_.roots);
    marker_.finish();
    heap_.keep_marked();
  }

  static constexpr std::size_t kReserve = 4 << 20;  // for sizes of cells that have no block yet
  std::size_t nursery_bytes_;
  std::byte* nursery_;
  std::byte* at_;
  bool is_full_ = false;  // more is reachable than the limit allows
  std::size_t given_out_ = 0;
  std::size_t promoted_since_ = 0;  // since the old space was marked
  std::vector<Object**> remembered_;
  std::vector<Object*> promoted_;  // their references may still lead to the nursery
  BlockHeap heap_;
  Marker<Layout<8>> marker_;
};

}  // namespace memtool::graph
