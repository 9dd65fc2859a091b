// The check pass: everything is verified (engine/passes/check_probe.hpp).
#pragma once

#include <atomic>
#include <cstdint>

#include "engine/passes/check_probe.hpp"
#include "engine/replay/serial.hpp"
#include "engine/replay/threaded.hpp"

namespace memtool {

// memtool/passes/check.py declares the same structure and describes it.
struct CheckFigures {
  std::uint64_t checks;
  std::uint64_t surviving_objects;
  std::uint64_t surviving_size;
  std::uint64_t surviving_digest;
  std::uint64_t order_digest;
};

inline void report_survivors(const CheckBook::Summary& summary, CheckFigures& figures) noexcept {
  figures.surviving_objects = summary.live_objects;
  figures.surviving_size = summary.live_bytes;
  figures.surviving_digest = summary.live_digest;
}

template <class S, class Given>
void check(Serial<S, Given>& replayed) {
  constexpr std::uint64_t kChecks = 64;
  auto& figures = replayed.template figures<CheckFigures>();
  replayed.region.reset();
  S strategy(replayed.region, replayed.given);
  CheckBook book;
  CheckProbe<S> probe(strategy, replayed.region, replayed.on_region(), book);
  Replay<S, CheckProbe<S>> replay(strategy, probe, replayed.slots.data());
  const std::uint64_t* at = replayed.image.begin;
  for (std::uint64_t i = 1; i <= kChecks && !book.failed() && !replay.out_of_memory(); ++i) {
    // A last check at the end of the events before the epilogue covers the blocks that are still live.
    const std::uint64_t* stop = replayed.image.begin + replayed.image.head.words * i / kChecks;
    if (at < replayed.image.epilogue && stop >= replayed.image.epilogue) {
      at = replay.run(at, replayed.image.epilogue);
      report_survivors(book.summary(), figures);
      if (replay.out_of_memory()) break;
    }
    at = replay.run(at, stop);
    if (!book.failed()) probe.verify_heap();
  }
  figures.checks = probe.checks();
  figures.order_digest = book.summary().order_digest;
  if (book.failed()) {
    replayed.result.failed_operation = book.failed_operation();
    fail(replayed.result, MEMTOOL_WRONG, "event %llu: %s", as_printed(book.failed_operation()),
         book.complaint().c_str());
  } else if (replay.out_of_memory()) {
    replayed.out_of_memory(strategy, at);
  }
}

// The check pass on a thread. It tells the parent, which may have to kill this process, what it is about to do.
template <class S>
class LaneCheckProbe : public CheckProbe<S> {
 public:
  LaneCheckProbe(const S& strategy, const Region& region, bool on_region, CheckBook& book, ThreadPlace& place) noexcept
      : CheckProbe<S>(strategy, region, on_region, book), place_(place) {}

  template <class Operation>
  void* allocate(Operation operation) noexcept {
    const Inside inside(place_, MEMTOOL_THREAD_ALLOCATE);
    return CheckProbe<S>::allocate(operation);
  }
  template <class Operation>
  void* reallocate(Operation operation) noexcept {
    const Inside inside(place_, MEMTOOL_THREAD_REALLOCATE);
    return CheckProbe<S>::reallocate(operation);
  }
  template <class Operation>
  void deallocate(Operation operation) noexcept {
    const Inside inside(place_, MEMTOOL_THREAD_DEALLOCATE);
    CheckProbe<S>::deallocate(operation);
  }

 private:
  class Inside {
   public:
    Inside(ThreadPlace& place, std::uint64_t at) noexcept : place_(place) { set(at); }
    ~Inside() {
      set(MEMTOOL_THREAD_REPLAY);
      std::atomic_ref operations(place_.operations);
      operations.store(operations.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    void set(std::uint64_t at) noexcept { std::atomic_ref(place_.at).store(at, std::memory_order_relaxed); }
    ThreadPlace& place_;
  };
  ThreadPlace& place_;
};

template <class S, class Given>
void check(Threaded<S, Given>& replayed) {
  auto& figures = replayed.template figures<CheckFigures>();
  replayed.region.reset();
  CheckBook book;
  S strategy(replayed.region, replayed.given);
  CheckProbe<S> whole(strategy, replayed.region, replayed.on_region(), book);
  const auto make_probe = [&](const Lane& lane) {
    return LaneCheckProbe<S>(strategy, replayed.region, replayed.on_region(), book,
                             replayed.request.places[lane.number]);
  };
  struct Work : LaneWork<S, decltype(make_probe)> {
    using LaneWork<S, decltype(make_probe)>::LaneWork;
    void body_ended() noexcept override {
      report_survivors(book->summary(), *figures);
      if (!book->failed()) whole->verify_heap();
    }
    [[nodiscard]] bool holds_lanes() const noexcept override { return true; }
    CheckBook* book = nullptr;
    CheckProbe<S>* whole = nullptr;
    CheckFigures* figures = nullptr;
  };
  Work work(make_probe);
  work.set_heap(strategy, replayed.region);
  work.book = &book;
  work.whole = &whole;
  work.figures = &figures;
  Lanes lanes(replayed.image, replayed.request, replayed.cells.data(), work);
  const bool finished = replayed.finish(lanes, work, strategy);
  if (!book.failed() && finished) whole.verify_heap();
  figures.checks = whole.checks();
  figures.order_digest = book.summary().order_digest;
  if (!book.failed()) return;
  replayed.result.failed_operation = book.failed_operation();
  fail(replayed.result, MEMTOOL_WRONG, "event %llu: %s", as_printed(book.failed_operation()), book.complaint().c_str());
}

}  // namespace memtool
