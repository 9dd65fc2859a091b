#include "engine/abi/capi.h"

#include <cstring>
#include <ctime>
#include <exception>
#include <memory>
#include <string>

#include "allocators/support/json.hpp"
#include "engine/events/events.hpp"
#include "engine/events/thread_image.hpp"
#include "engine/instruments/clock.hpp"
#include "engine/instruments/histogram.hpp"
#include "engine/registry/kernels.hpp"
#include "engine/registry/recipe.hpp"
#include "engine/registry/registry.hpp"
#include "kinds/graph/collectors/collectors.hpp"

namespace memtool {
namespace {

constexpr std::size_t kMessageBytes = 400;

void say(char* message, std::string_view words) {
  const std::size_t length = std::min(words.size(), kMessageBytes - 1);
  std::memcpy(message, words.data(), length);
  message[length] = '\0';
}

void describe_parameter(JsonWriter& json, const ParameterInfo& parameter) {
  json.raw("{").key("name").text(parameter.name).raw(",").key("summary").text(parameter.summary).raw(",");
  json.key("default").number(parameter.default_value).raw(",").key("minimum").number(parameter.minimum).raw(",");
  json.key("maximum").number(parameter.maximum).raw(",").key("unit");
  json.text(parameter.choices.empty() ? parameter.unit : "choice").raw(",");
  json.key("choices").raw("[");
  for (std::string_view rest = parameter.choices; !rest.empty();) {
    const auto bar = rest.find('|');
    json.text(rest.substr(0, bar));
    rest = bar == std::string_view::npos ? std::string_view{} : rest.substr(bar + 1);
    if (!rest.empty()) json.raw(",");
  }
  json.raw("]}");
}

void describe_parameters(JsonWriter& json, std::span<const ParameterInfo> parameters) {
  json.key("parameters").raw("[");
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (i != 0) json.raw(",");
    describe_parameter(json, parameters[i]);
  }
  json.raw("]");
}

void describe_strategy(JsonWriter& json, const StrategyEntry& entry) {
  const StrategyInfo& info = *entry.info;
  constexpr std::array<std::string_view, 4> kOrders{"any", "lifo", "fifo", "reset"};
  json.raw("{").key("name").text(info.name).raw(",").key("family").text(info.family).raw(",");
  json.key("summary").text(info.summary).raw(",").key("source").text(info.source).raw(",");
  json.key("complexity").text(info.complexity).raw(",").key("when").text(info.when).raw(",");
  json.key("free_order").text(kOrders[static_cast<std::size_t>(info.free_order)]).raw(",");
  json.key("uses_region").boolean(info.uses_region).raw(",");
  json.key("uses_malloc").boolean(info.uses_malloc).raw(",");
  json.key("is_control").boolean(info.is_control).raw(",");
  json.key("thread_safe").boolean(info.thread_safe).raw(",");
  constexpr std::array<std::string_view, 3> kRoutes{"inlined", "pointer", "linker"};
  json.key("route").text(kRoutes[static_cast<std::size_t>(info.route)]).raw(",");
  json.key("sized_free").boolean(info.sized_free).raw(",");
  json.key("frees_bare").boolean(entry.abilities.frees_bare).raw(",");
  json.key("allocates_zeroed").boolean(entry.abilities.allocates_zeroed).raw(",");
  json.key("reallocates").boolean(entry.abilities.reallocates).raw(",");
  json.key("scoped").boolean(entry.abilities.scoped).raw(",");
  describe_parameters(json, info.parameters);
  json.raw("}");
}

void describe_adaptor(JsonWriter& json, const AdaptorEntry& entry) {
  const AdaptorInfo& info = *entry.info;
  constexpr std::array<std::string_view, 3> kThreads{"none", "as below", "any"};
  json.raw("{").key("name").text(info.name).raw(",").key("summary").text(info.summary).raw(",");
  json.key("source").text(info.source).raw(",").key("complexity").text(info.cost).raw(",");
  json.key("when").text(info.when).raw(",");
  json.key("threads").text(kThreads[static_cast<std::size_t>(info.threads)]).raw(",");
  json.key("keeps_books").boolean(info.keeps_books).raw(",");
  json.key("delays_frees").boolean(info.delays_frees).raw(",");
  describe_parameters(json, info.parameters);
  json.raw("}");
}

void describe_collector(JsonWriter& json, const graph::CollectorEntry& entry) {
  const graph::CollectorInfo& info = entry.info;
  json.raw("{").key("name").text(info.name).raw(",").key("summary").text(info.summary).raw(",");
  json.key("source").text(info.source).raw(",").key("complexity").text(info.complexity).raw(",");
  json.key("when").text(info.when).raw(",");
  json.key("uses_region").boolean(info.uses_region).raw(",");
  json.key("route").text(info.soname.empty() ? "inlined" : "pointer").raw(",");
  json.key("library").text(info.soname).raw(",").key("package").text(info.package).raw(",");
  json.key("is_timed").boolean(info.is_timed).raw(",");
  describe_parameters(json, info.parameters);
  json.raw("}");
}

template <class Entries, class Describe>
std::string describe_all(const Entries& entries, Describe describe) {
  JsonWriter json;
  json.raw("[");
  for (const auto& entry : entries) {
    if (&entry != &entries.front()) json.raw(",\n ");
    describe(json, entry);
  }
  json.raw("]");
  return std::move(json).take();
}

// Runs `work` and turns an exception into a message of one line.
template <class Work>
std::uint32_t guarded(char* message, Work work) {
  try {
    work();
    return MEMTOOL_DONE;
  } catch (const CannotStand& problem) {
    say(message, problem.what());
    return MEMTOOL_WRONG;
  } catch (const std::exception& problem) {
    say(message, problem.what());
    return MEMTOOL_BAD_REQUEST;
  }
}

// Runs `work` with the requested recipe.
template <class Work>
std::uint32_t with_recipe(const char* strategy, const char* parameters, char* message, Work work) {
  return guarded(message, [&] { work(Recipe(strategy, parameters)); });
}

const char* wrong_with(const ReplayRequest& request, const ReplayResult& result) {
  if (request.struct_bytes != sizeof(ReplayRequest) || result.struct_bytes != sizeof(ReplayResult))
    return "the caller was built against another version of the engine";
  if (request.iterations > MEMTOOL_MOST_ITERATIONS) return "too many iterations";
  return nullptr;
}

}  // namespace

struct HeapHandle {
  HeapHandle(void* base, std::uint64_t bytes) : region(base, bytes) {}
  Region region;
  Findings findings;
  std::unique_ptr<AnyHeap> heap;
  std::string report;
};

extern "C" {

uint32_t memtool_abi_version(void) {
  return MEMTOOL_ABI_VERSION;
}

const char* memtool_compiler(void) {
#ifdef __clang__
  return __VERSION__ " " MEMTOOL_CODE_FLAGS;
#else
  return "GCC " __VERSION__ " " MEMTOOL_CODE_FLAGS;
#endif
}

const char* memtool_source_hash(void) {
  return MEMTOOL_SOURCE_HASH;
}

const char* memtool_describe(void) {
  static const std::string description = describe_all(strategies(), describe_strategy);
  return description.c_str();
}

const char* memtool_describe_adaptors(void) {
  static const std::string description = describe_all(adaptors(), describe_adaptor);
  return description.c_str();
}

const char* memtool_describe_collectors(void) {
  static const std::string description = describe_all(graph::collectors(), describe_collector);
  return description.c_str();
}

const char* memtool_describe_adopted(void) {
  static std::string description;
  JsonWriter json;
  const StrategyEntry* entry = find_strategy("adopted");
  if (entry != nullptr) describe_strategy(json, *entry);
  description = std::move(json).take();
  return description.c_str();
}

uint32_t memtool_limits(const char* strategy, const char* parameters, uint64_t alignment, StrategyLimits* limits,
                        char* message) {
  return with_recipe(strategy, parameters, message, [&](const Recipe& recipe) {
    const Limits recipe_limits = recipe.limits(alignment);
    limits->largest_size = recipe_limits.largest_size;
    limits->largest_alignment = recipe_limits.largest_alignment;
    limits->uses_region = recipe.info().uses_region ? 1 : 0;
    limits->most_blocks = recipe_limits.most_blocks;
    limits->least_alignment = recipe_limits.least_alignment;
  });
}

uint32_t memtool_replay(const ReplayRequest* request, ReplayResult* result) {
  if (const char* problem = wrong_with(*request, *result)) {
    say(result->message, problem);
    return result->status = MEMTOOL_BAD_REQUEST;
  }
  const std::uint32_t status = guarded(result->message, [&] {
    if (!run_kernel(*request, *result)) Recipe(request->strategy, request->parameters).replay(*request, *result);
  });
  // An exception in the middle of a replay is the allocator's fault. A bad request is one that the harness cannot
  // start.
  if (status != MEMTOOL_DONE) result->status = MEMTOOL_WRONG;
  return result->status;
}

uint64_t memtool_calibrate_counter(uint32_t milliseconds) {
  const Clock counter(true);
  // Of several readings, the one with the shortest bracket was not interrupted.
  const auto read = [&] {
    std::uint64_t best = ~std::uint64_t{0};
    std::pair<std::uint64_t, std::uint64_t> reading{};
    for (int i = 0; i < 32; ++i) {
      const std::uint64_t before = counter.start();
      const std::uint64_t nanoseconds = Clock::system_nanoseconds();
      const std::uint64_t after = counter.stop();
      if (after - before >= best) continue;
      best = after - before;
      reading = {before + best / 2, nanoseconds};
    }
    return reading;
  };
  const auto [first_ticks, first_ns] = read();
  // The counter runs on while the processor has nothing to do.
  timespec nap{milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1'000'000};
  while (nanosleep(&nap, &nap) != 0) {
  }
  const auto [last_ticks, last_ns] = read();
  const auto scaled = static_cast<unsigned __int128>(last_ns - first_ns) << 32;
  return static_cast<std::uint64_t>(scaled / (last_ticks - first_ticks));
}

HeapHandle* memtool_heap_open(const char* strategy, const char* parameters, void* region, uint64_t bytes,
                              char* message) {
  auto handle = std::make_unique<HeapHandle>(region, bytes);
  const std::uint32_t status = with_recipe(strategy, parameters, message, [&](const Recipe& recipe) {
    handle->heap = recipe.open(handle->region, handle->findings);
  });
  return status == MEMTOOL_DONE ? handle.release() : nullptr;
}

void memtool_heap_close(HeapHandle* heap) {
  delete heap;
}

void* memtool_heap_allocate(HeapHandle* heap, uint64_t size, uint64_t alignment) {
  return heap->heap->allocate(size, alignment);
}
void* memtool_heap_allocate_zeroed(HeapHandle* heap, uint64_t size, uint64_t alignment) {
  return heap->heap->allocate_zeroed(size, alignment);
}
void memtool_heap_deallocate(HeapHandle* heap, void* block, uint64_t size, uint64_t alignment) {
  heap->heap->deallocate(block, size, alignment);
}
void* memtool_heap_reallocate(HeapHandle* heap, void* block, uint64_t old_size, uint64_t new_size, uint64_t alignment) {
  return heap->heap->reallocate(block, old_size, new_size, alignment);
}
uint32_t memtool_heap_mark(HeapHandle* heap) {
  return heap->heap->mark() ? 1 : 0;
}
uint32_t memtool_heap_release(HeapHandle* heap) {
  return heap->heap->release() ? 1 : 0;
}
uint64_t memtool_heap_usable_size(HeapHandle* heap, const void* block, uint64_t size) {
  return heap->heap->usable_size(block, size);
}

void memtool_heap_figures(HeapHandle* heap, HeapFigures* figures) {
  const HeapStats stats = heap->heap->stats();
  *figures = {.footprint = heap->region.used(),
              .granted = stats.granted,
              .free_bytes = stats.free_bytes,
              .largest_free = stats.largest_free,
              .free_blocks = stats.free_blocks,
              .used_blocks = stats.used_blocks,
              .metadata_bytes = stats.metadata_bytes,
              .metadata_apart_bytes = stats.metadata_apart_bytes};
}

void memtool_heap_walk(HeapHandle* heap, WalkCallback visit, void* context) {
  heap->heap->walk([&](const void* address, std::size_t bytes, BlockState state) {
    visit(address, bytes, static_cast<std::uint32_t>(state), context);
  });
}

uint32_t memtool_heap_check(HeapHandle* heap, char* message) {
  try {
    heap->heap->check();
    return MEMTOOL_DONE;
  } catch (const std::exception& broken) {
    say(message, broken.what());
    return MEMTOOL_WRONG;
  }
}

const char* memtool_heap_report(HeapHandle* heap) {
  heap->report.clear();
  heap->heap->report(heap->report);
  return heap->report.c_str();
}

}  // extern "C"
}  // namespace memtool
