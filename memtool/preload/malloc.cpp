// Any strategy, with its adaptors, as the malloc of a real program (memtool run).
//
// Environment: MEMTOOL_MALLOC is the recipe ("tlsf+lock+as-malloc"), and MEMTOOL_MALLOC_PARAMETERS has the parameters
// of each part ("subdivisions=32++"). report.hpp reads further variables.
#include <cstdlib>
#include <string_view>

#include "allocators/support/as_malloc.hpp"
#include "engine/registry/recipe.hpp"
#include "preload/report.hpp"
#include "preload/symbols.hpp"

namespace memtool {
namespace {

constinit MallocCalls calls{};
constinit MallocHeap* heap = nullptr;
constinit Findings* findings = nullptr;
constinit Passage passage_of_heap = Passage::round;
constinit bool apart = false;  // blocks may lie outside of the region

// A finding of the adaptors takes precedence over one of the verification of the heap.
HeapAtEnd heap_at_end(bool checks) {
  HeapAtEnd said{.stats = heap->stats(), .finding = checks ? broken_in(*heap) : "", .adaptors = ""};
  if (said.finding.empty()) said.finding = findings->first();
  heap->report(said.adaptors);
  return said;
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
  passage_of_heap = heap->passage();
}
Passage ProgramHeap::passage() noexcept {
  return passage_of_heap;
}
bool ProgramHeap::goes_straight() noexcept {
  return memtool::passage == Passage::straight;
}
void ProgramHeap::goes_round() noexcept {
  memtool::passage = Passage::round;
}
bool ProgramHeap::may_be_locked() noexcept {
  return true;
}
bool ProgramHeap::may_ask_who_calls() noexcept {
  return true;
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
