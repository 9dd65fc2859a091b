// The registry's entry of a strategy: its description, and every pass compiled for it.
#pragma once

#include <memory>
#include <new>
#include <string_view>
#include <type_traits>

#include "allocators/support/as_malloc.hpp"
#include "engine/passes/passes.hpp"
#include "engine/registry/registry.hpp"
#include "kinds/construct/loops.hpp"
#include "kinds/graph/play/explicit.hpp"

namespace memtool {

// Whether the type alone shows that a heap is not thread-safe. This is unknown for adaptors and adopted heaps.
template <class S>
concept KnownUnsafe = requires { typename std::bool_constant<S::info.thread_safe>; } && !S::info.thread_safe;

// For several threads, only heaps that may be thread-safe are compiled. The others are left out of a run before it
// begins. `kAll`: see run_pass().
template <bool kAll, ReplayableHeap S, class Given>
  requires std::constructible_from<S, Region&, const Given&>
void replay_in_mode(const Given& given, const ReplayRequest& request, ReplayResult& result) {
  if (const char* problem = wrong_with_image(request)) return fail(result, MEMTOOL_BAD_REQUEST, "%s", problem);
  if (request.mode == MEMTOOL_SERIAL) return run_pass<kAll>(Serial<S, Given>(given, request, result));
  if constexpr (KnownUnsafe<S>) {
    fail(result, MEMTOOL_BAD_REQUEST, "not safe on several threads");
  } else {
    run_pass<kAll>(Threaded<S, Given>(given, request, result));
  }
}

template <class Given>
struct KindOfWork {
  std::string_view name;
  void (*run)(const Given&, const ReplayRequest&, ReplayResult&);
};
// The kinds of work that are compiled for each strategy: THE list, one line each. memtool/kinds has the same list.
template <bool kAll, class S, class Given>
inline constexpr KindOfWork<Given> kKinds[] = {
    {"heap", replay_in_mode<kAll, S, Given>},
};

template <bool kAll, ReplayableHeap S, class Given>
void run_kind(const Given& given, const ReplayRequest& request, ReplayResult& result) {
  for (const auto& kind : kKinds<kAll, S, Given>)
    if (kind.name == request.kind) return kind.run(given, request, result);
  fail(result, MEMTOOL_BAD_REQUEST, "unknown kind of work %s", request.kind);
}

// Runs a pass that is inlined.
template <Strategy S>
void replay_strategy(const Parameters& parameters, const ReplayRequest& request, ReplayResult& result) {
  run_kind<false, S>(parameters, request, result);
}

// For the kinds of work whose kernels are compiled once (kernels.cpp): what they also compile into each strategy. THE
// list.
template <Strategy S>
const void* inlined_of(std::string_view kind) {
  if (kind == "construct") return construct::LoopsOf<HeapOf<S>>::kAll;
  if (kind == "graph") return &graph::Playing<HeapOf<S>>::kPlay;
  return nullptr;
}

template <Strategy S, bool kInlined>
StrategyEntry make_entry(int order) {
  StrategyEntry entry{
      .order = order,
      .info = &S::info,
      .abilities = {.allocates_zeroed = AllocatesZeroed<S>,
                    .reallocates = Reallocates<S>,
                    .scoped = Scoped<S>,
                    .frees_bare = FreesBare<S>},
      .limits = [](const Parameters& parameters) { return limits_of<S>(parameters); },
      .uses_region = [](const Parameters& parameters) { return uses_region<S>(parameters); },
      .open = [](Region& region, const Parameters& parameters) -> std::unique_ptr<AnyHeap> {
        return std::make_unique<HeapOf<S>>(region, parameters);
      },
      .bytes = sizeof(HeapOf<S>),
      .open_at = [](void* place, Region& region, const Parameters& parameters) -> AnyHeap* {
        static_assert(alignof(HeapOf<S>) <= 4096);
        return new (place) HeapOf<S>(region, parameters);
      },
      .open_as_malloc = [](Region& region, const Parameters& parameters) -> std::unique_ptr<MallocHeap> {
        return std::make_unique<MallocOf<S>>(S::info.thread_safe, region, parameters);
      },
  };
  if constexpr (kInlined) {
    entry.replay = replay_strategy<S>;
    entry.inlined = inlined_of<S>;
  }
  return entry;
}

}  // namespace memtool
