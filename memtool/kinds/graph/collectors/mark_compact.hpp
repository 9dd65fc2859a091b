// Marks in a bitmap with one bit for each granule, then slides reachable objects together. Allocation moves a pointer.
// The new address of an object is computed from the bitmap, so one walk both updates references and moves objects.
#pragma once

#include <bit>
#include <cstring>

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/marker.hpp"

namespace memtool::graph {

// A space of adjacent objects, with a bitmap in the form that Marker requires.
class SlidingSpace {
 public:
  SlidingSpace(Region& region, std::size_t limit)
      : region_(region),
        first_(region.base() + region.used()),
        most_(std::min(limit, region.capacity() - region.used()) / kGranule * kGranule),
        bits_(most_ / kGranule / 64 + 1),
        before_(most_ / kGranule / 64 + 1) {}

  // Makes room for this many bytes behind `at` if the limit allows it. Returns the end of the room, or nullptr.
  std::byte* extend(const std::byte* at, std::size_t bytes) noexcept {
    constexpr std::size_t kStep = 64 << 10;
    const std::size_t needed = static_cast<std::size_t>(at - first_) + bytes;
    if (needed > most_) return nullptr;
    const std::size_t to = std::min(most_, (needed + kStep - 1) / kStep * kStep);
    if (to > taken_) {
      if (region_.grow(to - taken_) == nullptr) return nullptr;
      taken_ = to;
    }
    return first_ + taken_;
  }
  bool mark(const void* cell) noexcept {
    const std::size_t at = granule_of(cell);
    if ((bits_[at / 64] >> at % 64 & 1) != 0) return false;
    const std::size_t end = at + Header(word_at(cell)).bytes() / kGranule;
    for (std::size_t i = at; i < end;) {
      const std::size_t count = std::min<std::size_t>(end - i, 64 - i % 64);
      bits_[i / 64] |= (count == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << count) - 1) << i % 64;
      i += count;
    }
    return true;
  }
  [[nodiscard]] bool is_marked(const void* cell) const noexcept {
    const std::size_t at = granule_of(cell);
    return (bits_[at / 64] >> at % 64 & 1) != 0;
  }
  template <class Visit>
  void walk(Visit visit) {
    for (std::byte* cell = first_; cell != end_; cell += Header(word_at(cell)).bytes()) visit(cell);
  }
  void set_end(std::byte* end) noexcept { end_ = end; }

  // Counts the marked granules before each word of the bitmap. Returns the total in bytes.
  std::size_t count() noexcept {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < words(); ++i) {
      before_[i] = sum;
      sum += static_cast<std::uint32_t>(std::popcount(bits_[i]));
    }
    return sum * kGranule;
  }
  [[nodiscard]] std::byte* new_place(const void* cell) const noexcept {
    const std::size_t at = granule_of(cell);
    const std::uint64_t below = bits_[at / 64] & ((std::uint64_t{1} << at % 64) - 1);
    return first_ + (before_[at / 64] + static_cast<std::size_t>(std::popcount(below))) * kGranule;
  }
  // Visits each marked object in order. The visit may overwrite the places of objects that it has visited.
  template <class Visit>
  void each_marked(Visit visit) {
    const std::size_t end = static_cast<std::size_t>(end_ - first_) / kGranule;
    for (std::size_t at = 0; at < end;) {
      const std::uint64_t rest = bits_[at / 64] >> at % 64;
      if (rest == 0) {
        at = (at / 64 + 1) * 64;
        continue;
      }
      at += static_cast<std::size_t>(std::countr_zero(rest));
      std::byte* cell = first_ + at * kGranule;
      at += Header(word_at(cell)).bytes() / kGranule;
      visit(cell);
    }
  }
  void clear() noexcept { std::memset(bits_.data(), 0, words() * sizeof(std::uint64_t)); }
  [[nodiscard]] std::byte* first() const noexcept { return first_; }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return taken_ / kGranule / 64 * 12; }

 private:
  [[nodiscard]] std::size_t granule_of(const void* cell) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(cell) - first_) / kGranule;
  }
  [[nodiscard]] std::size_t words() const noexcept {
    return (static_cast<std::size_t>(end_ - first_) / kGranule + 63) / 64;
  }

  Region& region_;
  std::byte* first_;
  std::byte* end_ = nullptr;  // end of the objects
  std::size_t most_;
  std::size_t taken_ = 0;
  Zeroed<std::uint64_t> bits_;
  Zeroed<std::uint32_t> before_;
};

class MarkCompact : public MovesPointer<MarkCompact> {
 public:
  explicit MarkCompact(Surroundings& in)
      : MovesPointer(in), space_(in.region, in.settings.limit), marker_(space_, in.telemetry, in.settings.limit) {
    at_ = end_ = survivors_ = space_.first();
  }

  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    ++telemetry().collections;
    space_.set_end(at_);
    marker_.shade_roots(in_.roots);
    marker_.finish();
    const std::size_t kept = space_.count();
    const auto forward = [&](Object*& reference) {
      if (reference != nullptr) reference = object(space_.new_place(cell(reference)));
    };
    for (std::size_t i = 0; i < in_.roots.count; ++i) forward(in_.roots.first[i]);
    space_.each_marked([&](std::byte* cell) {
      const std::size_t bytes = Header(word_at(cell)).bytes();
      each_field(object(cell), forward);
      std::byte* to = space_.new_place(cell);
      if (to == cell) return;
      std::memmove(to, cell, bytes);
      telemetry().copied_bytes += bytes;
    });
    space_.clear();
    if (in_.settings.poisons) poison(space_.first() + kept, static_cast<std::size_t>(at_ - space_.first()) - kept);
    at_ = survivors_ = space_.first() + kept;
  }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return space_.apart_bytes() + marker_.apart_bytes(); }
  template <class Visit>
  void walk(Visit visit) {
    space_.set_end(at_);
    space_.walk([&](std::byte* cell) { visit(object(cell)); });
  }

 private:
  friend MovesPointer;
  [[gnu::noinline]] bool make_room(std::size_t bytes) {
    const auto extend = [&] {
      std::byte* end = space_.extend(at_, bytes);
      if (end != nullptr) end_ = end;
      return end != nullptr;
    };
    if (is_due()) run();
    if (extend()) return true;
    note_forced();
    run();
    return extend();
  }

  SlidingSpace space_;
  Marker<Layout<8>, SlidingSpace> marker_;
};

}  // namespace memtool::graph
