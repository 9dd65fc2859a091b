// The footprint pass: the memory of the heap, and the work of its collections.
#pragma once

#include "engine/instruments/resident.hpp"
#include "kinds/graph/kernel.hpp"
#include "kinds/graph/passes/row.hpp"

namespace memtool::graph {

inline void footprint(KernelCall& call) {
  Row row(call);
  auto& figures = call.figures<HeapFigures>();
  const bool is_shared = (call.request.region_flags & MEMTOOL_REGION_SHARED) != 0;
  Resident resident(call.request.region, call.request.region_bytes, is_shared);
  resident.begin_peak();
  row.open();
  if (!row.play()) return;
  figures.peak_resident_bytes = resident.take_peak();
  const bool on_region = row.entry() == nullptr ? row.heap()->uses_region() : row.entry()->info.uses_region;
  figures.peak_footprint_bytes = on_region ? call.region.peak() + call.region.apart() : kNotApplicable;
  if (row.collector() == nullptr) {
    if (row.detected()) return;
    figures.limit = figures.collections = figures.most_work = kNotApplicable;
    return;
  }
  const Telemetry& telemetry = row.telemetry();
  if (on_region) figures.peak_footprint_bytes += row.collector()->apart_bytes();
  figures.limit = row.in().settings.limit;
  figures.collections = telemetry.collections;
  figures.minor_collections = telemetry.minor;
  figures.forced_collections = telemetry.forced;
  figures.marked_bytes = telemetry.marked_bytes;
  figures.copied_bytes = telemetry.copied_bytes;
  figures.promoted_bytes = telemetry.promoted_bytes;
  figures.barrier_hits = telemetry.barrier_hits;
  figures.most_work = row.in().settings.pause_ticks != 0 ? telemetry.most_work : kNotApplicable;
  if (!row.entry()->info.soname.empty())  // it reports its collections and nothing more
    figures.marked_bytes = figures.copied_bytes = figures.promoted_bytes = figures.barrier_hits = kNotApplicable;
}

}  // namespace memtool::graph
