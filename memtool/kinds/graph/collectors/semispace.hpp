// Two halves. Allocation moves a pointer through one of them. When it is full, reachable objects are copied to the
// other.
#pragma once

#include <cstring>

#include "kinds/graph/collectors/collector.hpp"

namespace memtool::graph {

class Semispace : public MovesPointer<Semispace> {
 public:
  explicit Semispace(Surroundings& in)
      : MovesPointer(in), half_(std::min(in.settings.limit, in.region.capacity()) / 2 / kPage * kPage) {
    for (std::byte*& space : spaces_) space = static_cast<std::byte*>(in.region.grow(half_));
    begin(spaces_[0]);
  }

  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    ++telemetry().collections;
    std::byte* const old = first_;
    const std::size_t used = static_cast<std::size_t>(at_ - first_);
    begin(spaces_[old == spaces_[0] ? 1 : 0]);
    const auto forward = [&](Object*& reference) {
      if (reference != nullptr) reference = copy_out(reference);
    };
    for (std::size_t i = 0; i < in_.roots.count; ++i) forward(in_.roots.first[i]);
    for (std::byte* scan = first_; scan != at_;) {
      Object* moved = object(scan);
      const Header header = this->header(moved);
      for (std::uint32_t i = 0; i < header.references(); ++i) forward(field_of(moved, i));
      scan += header.bytes();
    }
    telemetry().copied_bytes += static_cast<std::size_t>(at_ - first_);
    survivors_ = at_;
    soften_end();
    if (in_.settings.poisons) poison(old, used);
  }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return 0; }
  template <class Visit>
  void walk(Visit visit) {
    for (std::byte* cell = first_; cell != at_; cell += Header(word_at(cell)).bytes()) visit(object(cell));
  }

 private:
  friend MovesPointer;
  static constexpr std::size_t kPage = 4096;

  void begin(std::byte* space) noexcept {
    first_ = at_ = survivors_ = space;
    end_ = space + half_;
    soften_end();
  }
  // The trigger is an end of allocation before the end of the space.
  void soften_end() noexcept {
    end_ = first_ + half_;
    if (trigger_ != 0 && !in_.settings.at_safe_points && trigger_ < static_cast<std::size_t>(end_ - at_))
      end_ = at_ + trigger_;
  }
  [[gnu::noinline]] bool make_room(std::size_t bytes) {
    const auto fits = [&] { return bytes <= static_cast<std::size_t>(first_ + half_ - at_); };
    if (is_disabled_ && fits()) {
      end_ = first_ + half_;
      return true;
    }
    if (!fits()) note_forced();
    run();
    if (!fits()) return false;
    if (bytes > static_cast<std::size_t>(end_ - at_)) end_ = first_ + half_;
    return true;
  }
  Object* copy_out(Object* from) noexcept {
    std::byte* cell = this->cell(from);
    const Header header(word_at(cell));
    if (header.is_moved()) return object(header.new_cell());
    std::byte* to = at_;
    std::memcpy(to, cell, header.bytes());
    at_ += header.bytes();
    word_at(cell) = Header::moved_to(to);
    return object(to);
  }

  std::size_t half_;
  std::byte* spaces_[2] = {};
  std::byte* first_ = nullptr;  // of the space in use
};

}  // namespace memtool::graph
