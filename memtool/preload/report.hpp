// Reports on the heap of a program when its process ends: a line of JSON, appended to the file that
// MEMTOOL_MALLOC_REPORT names. memtool/preload/launch.py reads it. With MEMTOOL_MALLOC_CHECK the whole heap is verified
// first, which takes time, and memory for its lists.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "allocators/support/json.hpp"
#include "preload/interface.hpp"

namespace memtool {
namespace {

// The file that defines ProgramHeap provides this.
struct HeapAtEnd {
  HeapStats stats;
  std::string finding;   // the first finding of an adaptor, or a broken invariant
  std::string adaptors;  // the reports of the adaptors, as members of a JSON object
};
// `checks`: the heap is verified first. No other thread may be in the middle of a call.
HeapAtEnd heap_at_end(bool checks);

// Verifies a heap whose check() throws, and returns the message of the exception.
template <class Heap>
std::string broken_in(const Heap& heap) {
  try {
    heap.check();
    return {};
  } catch (const std::exception& problem) {
    return problem.what();
  }
}

std::string report(const HeapAtEnd& heap) {
  JsonWriter out;
  out.raw("{").key("process").number(static_cast<std::uint64_t>(getpid()));
  out.raw(",").key("footprint_bytes").number(region->footprint());
  out.raw(",").key("peak_footprint_bytes").number(region->peak());
  out.raw(",").key("books_bytes").number(books.used());
  if (heap.stats.granted != kNotApplicable) out.raw(",").key("granted_bytes").number(heap.stats.granted);
  out.raw(",").key("finding").text(heap.finding);
  return std::move(out.raw(",").key("adaptors").raw("{").raw(heap.adaptors).raw("}}\n")).take();
}

[[gnu::destructor]] void finish() {
  const char* path = std::getenv("MEMTOOL_MALLOC_REPORT");
  if (path == nullptr || phase.load() != Phase::ready || is_inside()) return;
  ProgramHeap::goes_round();
  const Inside inside;
  const bool is_quiet = ProgramHeap::passage() != Passage::straight || presence.is_alone(own_place);
  const std::string line = report(heap_at_end(is_quiet && std::getenv("MEMTOOL_MALLOC_CHECK") != nullptr));
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  (void)!write(file, line.data(), line.size());
  close(file);
}

}  // namespace
}  // namespace memtool
