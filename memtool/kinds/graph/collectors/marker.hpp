// Marks reachable objects with an explicit stack, so that a list of any length needs none of the thread's stack.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kinds/graph/collectors/block_heap.hpp"
#include "kinds/graph/collectors/settings.hpp"

namespace memtool::graph {

// `Space` has mark(cell), which returns whether the mark is new. The stack holds each object whose references are to be
// followed, once. Its address space suffices for all objects, and it takes memory only as deep as it gets.
template <class L, class Space = BlockHeap>
class Marker {
 public:
  // `bytes`: upper bound of the size of all cells.
  Marker(Space& heap, Telemetry& telemetry, std::size_t bytes)
      : heap_(heap), telemetry_(telemetry), stack_(bytes / kLeastWithReferences + 2) {}

  // Marks an object, and records that its references are to be followed.
  void shade(Object* object) noexcept {
    if (object == nullptr || !heap_.mark(L::cell(object))) return;
    const Header header = L::header(object);
    telemetry_.marked_bytes += header.bytes();
    if (header.references() == 0) {
      followed_bytes_ += header.bytes();
    } else {
      push(reinterpret_cast<std::uintptr_t>(object));
    }
  }
  void shade_roots(const Roots& roots) noexcept {
    for (std::size_t i = 0; i < roots.count; ++i) shade(roots.first[i]);
  }
  // Follows this many references; each object counts as one too. It exceeds the number by at most kPart. Returns the
  // work done.
  std::size_t step(std::size_t most) noexcept {
    std::size_t done = 0;
    while (done < most && count_ > 0) {
      std::uintptr_t entry = stack_[--count_];
      std::uint32_t first = 0;
      if ((entry & kIsPart) != 0) {
        entry &= ~kIsPart;
        first = static_cast<std::uint32_t>(stack_[--count_]);
      }
      auto* object = reinterpret_cast<Object*>(entry);
      const Header header = L::header(object);
      const std::uint32_t references = header.references();
      const std::uint32_t end = references - first > kPart ? first + kPart : references;
      followed_bytes_ += (end - first) * sizeof(Object*);
      if (end < references) {
        push(end);
        push(entry | kIsPart);
      } else {
        followed_bytes_ += header.bytes() - references * sizeof(Object*);
      }
      for (std::uint32_t i = first; i < end; ++i) shade(field_of(object, i));
      done += 1 + end - first;
    }
    return done;
  }
  void finish() noexcept { static_cast<void>(step(~std::size_t{0})); }
  void forget() noexcept { count_ = followed_bytes_ = 0; }
  // Bytes of the objects whose references were followed since the last reset.
  [[nodiscard]] std::size_t followed_bytes() const noexcept { return followed_bytes_; }
  [[nodiscard]] bool has_work() const noexcept { return count_ > 0; }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return deepest_ * sizeof(std::uintptr_t); }

  // For an object with more references, this many are followed at a time.
  static constexpr std::uint32_t kPart = 64;

 private:
  static constexpr std::size_t kLeastWithReferences = 32;  // in bytes: a header, a reference and a word, rounded up
  static constexpr std::uintptr_t kIsPart = 1;             // the number of its next reference lies below it

  void push(std::uintptr_t entry) noexcept {
    stack_[count_++] = entry;
    deepest_ = std::max(deepest_, count_);
  }

  Space& heap_;
  Telemetry& telemetry_;
  std::size_t count_ = 0;
  std::size_t deepest_ = 0;
  std::size_t followed_bytes_ = 0;
  Zeroed<std::uintptr_t> stack_;
};

}  // namespace memtool::graph
