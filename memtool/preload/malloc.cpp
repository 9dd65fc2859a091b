// Any strategy, with its adaptors, as the malloc of a real program (memtool run).
//
// Environment: MEMTOOL_MALLOC, the recipe ("tlsf+lock+as-malloc"); MEMTOOL_MALLOC_PARAMETERS, those of each part
// ("subdivisions=32++"); MEMTOOL_MALLOC_REPORT, the file that is appended to when the process ends, a line of JSON;
// MEMTOOL_MALLOC_CHECK, if the whole heap is to be verified first: that takes time, and memory for its lists.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "allocators/support/as_malloc.hpp"
#include "allocators/support/json.hpp"
#include "engine/registry/recipe.hpp"
#include "preload/symbols.hpp"

namespace memtool {
namespace {

constinit MallocCalls calls{};
constinit MallocHeap* heap = nullptr;
constinit Findings* findings = nullptr;
constinit bool straight = false;
constinit bool apart = false;  // blocks may lie outside of the region

// What the heap is like at the end of the process, and what its adaptors have found. `checks`: the heap is verified
// first; no other thread may be in the middle of a call.
std::string report(bool checks) {
  const HeapStats stats = heap->stats();
  std::string finding;
  try {
    if (checks) heap->check();
    finding = findings->first();
  } catch (const std::exception& problem) {
    finding = problem.what();
  }
  std::string adaptors;
  heap->report(adaptors);
  JsonWriter out;
  out.raw("{").key("process").number(static_cast<std::uint64_t>(getpid()));
  out.raw(",").key("footprint_bytes").number(region->footprint());
  out.raw(",").key("peak_footprint_bytes").number(region->peak());
  out.raw(",").key("books_bytes").number(books.used());
  if (stats.granted != kNotApplicable) out.raw(",").key("granted_bytes").number(stats.granted);
  out.raw(",").key("finding").text(finding);
  return std::move(out.raw(",").key("adaptors").raw("{").raw(adaptors).raw("}}\n")).take();
}

[[gnu::destructor]] void finish() {
  const char* path = std::getenv("MEMTOOL_MALLOC_REPORT");
  if (path == nullptr || phase.load() != Phase::ready || is_inside()) return;
  goes_straight = false;
  const Inside inside;
  const bool is_quiet = !straight || presence.is_alone(own_place);
  const std::string line = report(is_quiet && std::getenv("MEMTOOL_MALLOC_CHECK") != nullptr);
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  (void)!write(file, line.data(), line.size());
  close(file);
}

}  // namespace

bool ProgramHeap::can_open() noexcept {
  return !strategies().empty();
}
void ProgramHeap::open(Region& region) {
  const char* name = std::getenv("MEMTOOL_MALLOC");
  const char* parameters = std::getenv("MEMTOOL_MALLOC_PARAMETERS");
  if (name == nullptr) give_up("MEMTOOL_MALLOC names no allocator");
  findings = new Findings;
  const Recipe recipe(name, parameters == nullptr ? "" : parameters);
  apart = std::string_view(name).find("+guard") != std::string_view::npos;
  heap = recipe.open_as_malloc(region, *findings).release();
  calls = heap->calls();
  straight = heap->is_straight();
}
bool ProgramHeap::is_straight() noexcept {
  return straight;
}
void ProgramHeap::hold() noexcept {
  heap->hold();
}
void ProgramHeap::let_go() noexcept {
  heap->let_go();
}
bool ProgramHeap::lies_apart() noexcept {
  return apart;
}
void* ProgramHeap::allocate(std::size_t size) noexcept {
  return calls.allocate(size);
}
void* ProgramHeap::allocate_aligned(std::size_t alignment, std::size_t size) noexcept {
  return calls.allocate_aligned(alignment, size);
}
void* ProgramHeap::allocate_zeroed(std::size_t size) noexcept {
  return calls.allocate_zeroed(1, size);
}
void* ProgramHeap::reallocate(void* block, std::size_t size) noexcept {
  return calls.reallocate(block, size);
}
void ProgramHeap::deallocate(void* block) noexcept {
  calls.deallocate(block);
}
std::size_t ProgramHeap::usable_size(const void* block) noexcept {
  return heap->usable_size(block, 0);
}

}  // namespace memtool
