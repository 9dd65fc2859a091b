// The strategies in this engine. The last line of a strategy's header, MEMTOOL_STRATEGY(memtool::Pool), and one
// #include in allocators/strategies.hpp register it. Compiling every strategy with every probe in one file would take
// minutes. So engine/registry/instantiate.cpp is compiled several times, and each strategy is instantiated in one of
// the shards.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "allocators/concept/any_heap.hpp"
#include "engine/events/events.hpp"

namespace memtool {

struct ReplayRequest;
struct ReplayResult;
class MallocHeap;  // allocators/support/as_malloc.hpp

// The optional operations of allocators/concept/strategy.hpp that a strategy has.
struct Abilities {
  bool allocates_zeroed;
  bool reallocates;
  bool scoped;
  bool frees_bare;
};

struct StrategyEntry {
  int order;
  const StrategyInfo* info;
  Abilities abilities;
  Limits (*limits)(const Parameters&);
  bool (*uses_region)(const Parameters&);
  // For the passes that are inlined, and the code that a kind of work has compiled into it, if any. nullptr: neither is
  // inlined.
  void (*replay)(const Parameters&, const ReplayRequest&, ReplayResult&) = nullptr;
  const void* (*inlined)(std::string_view kind) = nullptr;
  std::unique_ptr<AnyHeap> (*open)(Region&, const Parameters&);
  // The same in memory of the caller: so many bytes, at the beginning of a page.
  std::size_t bytes;
  AnyHeap* (*open_at)(void* place, Region&, const Parameters&);
  // With the interface of a malloc; the strategy is compiled into it.
  std::unique_ptr<MallocHeap> (*open_as_malloc)(Region&, const Parameters&);
};

// All strategies, in the order of allocators/strategies.hpp.
std::span<const StrategyEntry> strategies();
// Returns nullptr if there is no strategy of that name.
const StrategyEntry* find_strategy(std::string_view name);

void register_strategy(const StrategyEntry& entry);
// The one strategy adopted at run time (engine/adopted/adopted.hpp). It is found by name, but is not among
// strategies().
void set_adopted(const StrategyEntry& entry);
// Whether strategies and adaptors are compiled into the loops that time them. Tests that time nothing do without, for
// this takes most of the time to compile: the same loops call the heap indirectly.
#ifndef MEMTOOL_INLINED
#define MEMTOOL_INLINED true
#endif
template <Strategy S, bool kInlined>
StrategyEntry make_entry(int order);  // engine/registry/entry.hpp

template <class S, int kOrder, bool kInThisShard, bool kInlined>
struct Registration {
  Registration() {
    static_assert(Strategy<S>);
    if constexpr (kInThisShard) register_strategy(make_entry<S, kInlined>(kOrder));
  }
};

}  // namespace memtool
