// What the passes for instructions, system calls and heap maps need on several threads: see
// engine/replay/thread_runner.hpp.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "engine/instruments/instructions.hpp"
#include "engine/passes/heap_pass.hpp"
#include "engine/passes/probes.hpp"
#include "engine/replay/lanes.hpp"

namespace memtool {

// Counts what its lane executes from here to the end of its body, and nothing of what it does while it waits.
class CountedProbe : public ThroughputProbe<true> {
 public:
  CountedProbe(Touch touch, Lane& lane, std::uint32_t counter, std::atomic<std::uint64_t>& total) noexcept
      : ThroughputProbe<true>(touch), lane_(lane), counter_(counter), total_(total) {
    lane_.counter = &counter_;
    counter_.start_thread();
  }
  ~CountedProbe() { body_ended(); }
  CountedProbe(const CountedProbe&) = delete;
  CountedProbe& operator=(const CountedProbe&) = delete;

  void body_ended() noexcept {
    if (lane_.counter == nullptr) return;
    total_ += counter_.stop_thread();
    lane_.counter = nullptr;
  }
  [[nodiscard]] ThroughputProbe<true> of_epilogue() const noexcept { return ThroughputProbe<true>(Touch::none); }

 private:
  Lane& lane_;
  InstructionCounter counter_;
  std::atomic<std::uint64_t>& total_;
};

// Where live blocks are, and how large: in the slots of lanes, and in the cells through which they change lanes. Its
// memory is resident from the start.
class LaneBook {
 public:
  LaneBook(const ThreadImage& image, std::uint64_t peak_operation) : cells_(image.head.cells) {
    for (std::uint64_t lane = 0; lane < image.head.lanes; ++lane)
      sizes_.push_back(std::make_unique<Table<std::uint64_t>>(image.lanes[lane].slots));
    peak_operation_ = peak_operation;
  }
  [[nodiscard]] bool mapped() const noexcept {
    return cells_.data() != nullptr &&
           std::ranges::all_of(sizes_, [](const auto& each) { return each->data() != nullptr; });
  }

  // Sizes are kept one too large: a request may be for 0 bytes.
  void enter(const Lane& lane, std::uint32_t slot, std::uint64_t size) noexcept {
    sizes_[lane.number]->data()[slot] = size + 1;
    live_ += size;
  }
  void leave(const Lane& lane, std::uint32_t slot, std::uint64_t size) noexcept {
    sizes_[lane.number]->data()[slot] = 0;
    live_ -= size;
  }
  void publish(const Lane& lane, std::uint32_t slot, std::uint64_t cell) noexcept {
    cells_.data()[cell] = std::exchange(sizes_[lane.number]->data()[slot], 0);
  }
  void receive(const Lane& lane, std::uint32_t slot, std::uint64_t cell) noexcept {
    sizes_[lane.number]->data()[slot] = std::exchange(cells_.data()[cell], 0);
  }
  // Counts an operation; true: it is the one after which live bytes peak.
  bool count() noexcept { return ++operations_ == peak_operation_; }

  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  [[nodiscard]] std::uint64_t live() const noexcept { return live_; }
  // Calls visit(block, size) for each live block; nobody else may be in the heap.
  template <class Visit>
  void for_each(const Lanes& lanes, const std::atomic<void*>* cells, Visit visit) const {
    for (const auto& lane : lanes.all()) {
      const std::uint64_t* sizes = sizes_[lane->number]->data();
      for (std::uint64_t slot = 0; slot < lane->entry.slots; ++slot)
        if (sizes[slot] != 0) visit(lane->slots.data()[slot], sizes[slot] - 1);
    }
    for (std::uint64_t cell = 0; cell < lanes.image().head.cells; ++cell)
      if (cells_.data()[cell] != 0) visit(cells[cell].load(std::memory_order_relaxed), cells_.data()[cell] - 1);
  }

 private:
  std::vector<std::unique_ptr<Table<std::uint64_t>>> sizes_;
  Table<std::uint64_t> cells_;
  std::uint64_t peak_operation_ = 0;
  std::atomic<std::uint64_t> operations_ = 0;
  std::atomic<std::uint64_t> live_ = 0;
};

// `at_peak()` is called on the lane whose operation is the one after which live bytes peak.
template <class AtPeak>
class LaneHeapProbe : public PlainProbe {
 public:
  LaneHeapProbe(Touch touch, const Lane& lane, LaneBook& book, AtPeak at_peak) noexcept
      : touch_(touch), lane_(lane), book_(book), at_peak_(at_peak) {}

  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t, bool) noexcept {
    touch_block(touch_, block, size);
    book_.enter(lane_, slot, size);
    count();
  }
  void deallocating(std::uint32_t slot, void*, std::uint64_t size) noexcept {
    book_.leave(lane_, slot, size);
    count();
  }
  void reallocating(std::uint32_t slot, void*, std::uint64_t size) noexcept { book_.leave(lane_, slot, size); }
  void reallocated(std::uint32_t slot, void* block, std::uint64_t, std::uint64_t size, std::size_t) noexcept {
    touch_block(touch_, block, size);
    book_.enter(lane_, slot, size);
    count();
  }
  [[nodiscard]] std::uint64_t live_bytes() const noexcept { return book_.live(); }
  void published(std::uint32_t slot, std::uint64_t cell) noexcept { book_.publish(lane_, slot, cell); }
  void received(std::uint32_t slot, std::uint64_t cell) noexcept { book_.receive(lane_, slot, cell); }

 private:
  void count() noexcept {
    if (book_.count()) at_peak_();
  }
  Touch touch_;
  const Lane& lane_;
  LaneBook& book_;
  AtPeak at_peak_;
};

}  // namespace memtool
