// The check pass: plays a program beside a second graph, with which everything is compared.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_set>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "kinds/graph/kernel.hpp"
#include "kinds/graph/passes/row.hpp"
#include "kinds/graph/play/audit.hpp"

namespace memtool::graph {

// Unreachable objects that were not reclaimed. If cycles may stay, each such object is referenced by another one.
class Leftovers {
 public:
  Leftovers(Row& row, Audit& audit) : row_(row), audit_(audit) {}

  // The objects that a collection promises to reclaim: all garbage, what was garbage when marking began, or none.
  enum class Promise { all, dead_before, none };

  void marking_begins() {
    verify();
    round_ = audit_.round();
    made_ = audit_.made();
  }
  std::uint64_t look(bool may_be_cyclic, Promise promise) {
    verify();
    if (!audit_.complaint.empty()) return 0;
    std::uint64_t bytes = 0;
    std::vector<std::uint32_t> left;
    std::unordered_set<std::uint32_t> referred;
    row_.collector()->walk([&](Object* object, std::uint64_t of, std::uint32_t references) {
      const std::uint32_t number = Audit::number_in(object, references);
      if (number == 0 || number > audit_.made() || audit_[number].references != references)
        return audit_.complain("is walked, and is none", number);
      if (audit_.is_reachable(number)) return;
      bytes += of;
      left.push_back(number);
      for (std::uint32_t i = 0; i < references; ++i) referred.insert(audit_.field(number, i));
    });
    if (promise == Promise::none) return bytes;
    for (const std::uint32_t number : left) {
      if (may_be_cyclic && referred.contains(number)) continue;
      if (promise == Promise::dead_before && (number > made_ || audit_[number].seen >= round_)) continue;
      audit_.complain("nothing leads to it, and it was not reclaimed", number);
    }
    return bytes;
  }

 private:
  void verify() {
    audit_.verify(row_.roots(), [&](Object* object, std::uint32_t number) { audit_.verify_payload(object, number); });
  }

  Row& row_;
  Audit& audit_;
  std::uint32_t round_ = 0;  // in which everything reachable at the beginning of marking was seen
  std::size_t made_ = 0;     // number of objects until then
};

inline void check(KernelCall& call) {
  Row row(call);
  auto& figures = call.figures<CheckFigures>();
  Audit audit(row.program().head().roots);
  Leftovers leftovers(row, audit);
  std::uint64_t collections = 0;
  const bool leaves_cycles =
      row.entry() != nullptr && row.entry()->info.leaves_cycles && !row.in().settings.finds_cycles;
  const bool is_known = row.entry() != nullptr && row.entry()->info.soname.empty();
  if (!is_known) figures.floating_bytes = figures.unreclaimed_bytes = kNotApplicable;
  if (is_known) {
    row.in().settings.poisons = true;
    row.in().before_marking = [&] {
      if (audit.complaint.empty()) leftovers.marking_begins();
    };
    row.in().after_collection = [&] {
      const bool is_whole = row.telemetry().collections > collections;
      collections = row.telemetry().collections;
      if (row.collector() == nullptr || !audit.complaint.empty()) return;
      // Objects that die during marking may stay until the next cycle.
      const bool may_float = row.in().settings.pause_ticks != 0;
      const auto promise = !is_whole   ? Leftovers::Promise::none
                           : may_float ? Leftovers::Promise::dead_before
                                       : Leftovers::Promise::all;
      const std::uint64_t left = leftovers.look(leaves_cycles, promise);
      if (is_whole) figures.floating_bytes = std::max(figures.floating_bytes, left);
    };
  }
  row.open();
  if (!row.audit(audit)) return;
  figures.surviving_objects = row.program().head().allocations - row.program().head().frees;
  if (is_known) {
    row.in().before_marking = row.in().after_collection = {};
    row.collector()->collect();
    figures.unreclaimed_bytes = leftovers.look(leaves_cycles, Leftovers::Promise::all);
    if (!audit.complaint.empty()) return fail(call.result, MEMTOOL_WRONG, "%s", audit.complaint.c_str());
  } else if (row.heap() != nullptr) {
    try {
      row.heap()->check();
    } catch (const BrokenInvariant& problem) {
      return fail(call.result, MEMTOOL_WRONG, "%s", problem.what());
    }
    if (row.detected()) return;
  }
  figures.checks = audit.verifications;
}

}  // namespace memtool::graph
