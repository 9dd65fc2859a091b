// The row of a call: a collector or the heap of an explicit allocator, and the program that is played on it.
#pragma once

#include <algorithm>
#include <memory>
#include <new>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/replay/kernel.hpp"
#include "kinds/graph/collectors/collectors.hpp"
#include "kinds/graph/play/explicit.hpp"
#include "kinds/graph/play/moving_pointer.hpp"

namespace memtool::graph {

// The heap is created anew for each replay.
class Row {
 public:
  explicit Row(KernelCall& call)
      : call_(call),
        program_(call.request.image),
        entry_(find_collector(call.request.strategy)),
        // The null strategy has one block for all objects. Objects at the same address cannot have references.
        is_control_(std::string_view(call.request.strategy) == "null"),
        telemetry_(Clock(call.request.use_counter != 0)),
        roots_(program_.head().roots),
        slots_(entry_ == nullptr ? program_.head().slots : 0) {
    if (entry_ == nullptr) return;
    const Settings settings =
        settings_of(entry_->info, call.request.parameters, program_.head(), call.request.ticks_per_ns);
    in_.emplace(Surroundings{call.region, settings, {roots_.data(), roots_.size()}, telemetry_, {}, {}});
  }

  void open() {
    close();
    forget_roots();
    telemetry_.clear();
    if (entry_ == nullptr) {
      heap_ = call_.open();
    } else {
      call_.region.reset();
      collector_ = entry_->open(*in_);
    }
  }
  void forget_roots() noexcept { std::ranges::fill(roots_, nullptr); }
  void close() noexcept {
    collector_.reset();
    heap_.reset();
  }

  bool play(bool is_guarded = true) {
    return guarded([&] {
      if (collector_) return is_guarded ? collector_->play(program_) : collector_->play_unguarded(program_);
      if (is_control_) {
        MovingPointer target(call_.region, {roots_.data(), slots_.data()});
        return graph::play(target, program_);
      }
      const auto* inlined = static_cast<const PlayHeap*>(call_.inlined);
      return (inlined == nullptr ? play_heap<AnyHeap> : *inlined)(*heap_, {roots_.data(), slots_.data()}, program_);
    });
  }
  bool audit(Audit& audit) {
    const bool is_done = guarded([&] {
      Outcome outcome;
      if (collector_) {
        collector_->audit(program_, outcome, audit);
      } else {
        Explicit<AnyHeap> target(*heap_, {roots_.data(), slots_.data()});
        Audited<Explicit<AnyHeap>> audited(target, roots_.data(), audit, slots_.size());
        outcome = graph::play(audited, program_);
        if (outcome.is_done) audited.look();
      }
      if (!audit.complaint.empty()) fail(call_.result, MEMTOOL_WRONG, "%s", audit.complaint.c_str());
      return outcome;
    });
    return is_done && audit.complaint.empty();
  }
  // Plays the program on another target.
  template <class T>
  bool play_on(T& target) {
    return guarded([&] { return graph::play(target, program_); });
  }
  [[nodiscard]] bool detected() { return call_.detected(); }

  [[nodiscard]] const Program& program() const noexcept { return program_; }
  [[nodiscard]] AnyCollector* collector() noexcept { return collector_.get(); }
  [[nodiscard]] AnyHeap* heap() noexcept { return heap_.get(); }
  [[nodiscard]] Surroundings& in() noexcept { return *in_; }
  [[nodiscard]] Telemetry& telemetry() noexcept { return telemetry_; }
  [[nodiscard]] const CollectorEntry* entry() const noexcept { return entry_; }
  [[nodiscard]] Object** roots() noexcept { return roots_.data(); }

 private:
  // Plays the program, and reports any failure.
  template <class Play>
  bool guarded(Play play) {
    Outcome outcome;
    try {
      outcome = play();
    } catch (const std::bad_alloc&) {
      outcome.is_done = false;
    }
    if (call_.result.status != MEMTOOL_DONE) return false;
    if (!outcome.is_done) {
      out_of_memory(outcome);
    } else if (outcome.sum != program_.head().checksum) {
      fail(call_.result, MEMTOOL_WRONG, "the values read from the objects sum up to %llu, not to %llu",
           as_printed(outcome.sum), as_printed(program_.head().checksum));
    }
    return call_.result.status == MEMTOOL_DONE;
  }
  [[gnu::noinline]] void out_of_memory(const Outcome& outcome) {
    if (entry_ == nullptr)
      return fail(call_.result, MEMTOOL_OUT_OF_MEMORY, "out of memory for object %llu of %llu bytes",
                  as_printed(outcome.allocations + 1), as_printed(outcome.failed_size));
    const Head& head = program_.head();
    fail(call_.result, MEMTOOL_OUT_OF_MEMORY,
         "out of memory for object %llu: a heap of %llu bytes, of which %llu are reachable at most",
         as_printed(outcome.allocations + 1), as_printed(in_->settings.limit),
         as_printed(entry_->info.header == 8 ? head.peak_live_with_header : head.peak_live_with_count));
  }

  KernelCall& call_;
  Program program_;
  const CollectorEntry* entry_;
  bool is_control_;
  Telemetry telemetry_;
  std::vector<Object*> roots_;
  std::vector<Object*> slots_;
  std::optional<Surroundings> in_;
  std::unique_ptr<AnyHeap> heap_;
  std::unique_ptr<AnyCollector> collector_;
};

}  // namespace memtool::graph
