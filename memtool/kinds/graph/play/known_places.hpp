// The control of a graph program: its cost without any memory management. Each object gets a place that was found
// beforehand, in a heap that frees objects when they die.
#pragma once

#include <cstdint>
#include <vector>

#include "kinds/graph/collectors/block_heap.hpp"
#include "kinds/graph/play/play.hpp"

namespace memtool::graph {

// Finds the places: an explicit allocator.
class FindsPlaces : public PlainRoots<FindsPlaces> {
 public:
  static constexpr bool kIsExplicit = true;

  FindsPlaces(Region& region, Object** roots, std::size_t slots, std::vector<Object*>& places)
      : PlainRoots(roots), heap_(region, region.capacity(), false), slots_(slots), places_(places) {}

  Object* allocate(std::uint32_t body, std::uint32_t, std::uint32_t slot) {
    const std::size_t granules = (body + kGranule - 1) / kGranule;
    void* cell = heap_.take(granules);
    if (cell == nullptr) cell = heap_.refill(granules);
    slots_[slot] = static_cast<Object*>(cell);
    places_.push_back(slots_[slot]);
    live_ += body;
    if (live_ > most_live_) {
      most_live_ = live_;
      peak_ = places_.size();
    }
    return slots_[slot];
  }
  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }
  void free(std::uint32_t slot, std::uint32_t body) noexcept {
    live_ -= body;
    heap_.free(slots_[slot]);
  }
  void control(Control) noexcept {}
  // The number of the object that is allocated when live bytes first peak.
  [[nodiscard]] std::size_t peak() const noexcept { return peak_; }

 private:
  BlockHeap heap_;
  std::vector<Object*> slots_;
  std::vector<Object*>& places_;
  std::uint64_t live_ = 0;
  std::uint64_t most_live_ = 0;
  std::size_t peak_ = 0;
};

// Plays with the places that were found.
class KnowsPlaces : public PlainRoots<KnowsPlaces> {
 public:
  static constexpr bool kIsExplicit = false;

  KnowsPlaces(Object** roots, const std::vector<Object*>& places) noexcept : PlainRoots(roots), next_(places.data()) {}

  Object* allocate(std::uint32_t, std::uint32_t, std::uint32_t) noexcept { return *next_++; }
  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }
  void control(Control) noexcept {}

 private:
  Object* const* next_;
};

}  // namespace memtool::graph
