// Which strategies this engine holds. A strategy enters it by the last line of its own header,
//   MEMTOOL_STRATEGY(memtool::Pool);
// and by one #include in allocators/strategies.hpp. Compiling every strategy with every probe in one file would take
// minutes, so engine/replay/instantiate.cpp is compiled several times, and each strategy is instantiated in one of the
// shards.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "engine/events/events.hpp"

namespace memtool {

struct ReplayRequest;
struct ReplayResult;
class MallocHeap;  // allocators/support/as_malloc.hpp

// A strategy on its region behind virtual calls: what adaptors stand on, and what drives a heap operation by operation
// (tests, the verification's adversaries).
class AnyHeap {
 public:
  virtual ~AnyHeap() = default;
  virtual void* allocate(std::size_t size, std::size_t alignment) = 0;
  virtual void* allocate_zeroed(std::size_t size, std::size_t alignment) = 0;
  virtual void deallocate(void* block, std::size_t size, std::size_t alignment) = 0;
  virtual void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) = 0;
  // A heap that resizes by a copy of its own does what the program would: it writes to the new block before it frees
  // the old, so both are resident together. `rear`: bytes at the end of a block that no program writes to.
  virtual void write_when_moved(Touch, std::size_t /*rear*/) {}
  virtual bool mark() = 0;     // false: not a scoped strategy, or too many marks
  virtual bool release() = 0;  // back to the youngest mark
  [[nodiscard]] virtual bool scoped() const = 0;
  [[nodiscard]] virtual bool uses_region() const = 0;
  [[nodiscard]] virtual std::size_t usable_size(const void* block, std::size_t size) const = 0;
  [[nodiscard]] virtual HeapStats stats() const = 0;
  virtual void walk(const BlockVisitor& visit) const = 0;
  virtual void check() const = 0;
  // Appends what each adaptor has to say, as members of a JSON object: "leak":{...}
  virtual void report(std::string&) const {}
};

// Which of the optional abilities of allocators/concept/strategy.hpp a strategy has.
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
  void (*replay)(const Parameters&, const ReplayRequest&, ReplayResult&);
  std::unique_ptr<AnyHeap> (*open)(Region&, const Parameters&);
  // On the footing of a malloc, the strategy compiled into it.
  std::unique_ptr<MallocHeap> (*open_as_malloc)(Region&, const Parameters&);
};

// All strategies in the order of allocators/strategies.hpp.
std::span<const StrategyEntry> strategies();
// nullptr when there is none of that name.
const StrategyEntry* find_strategy(std::string_view name);

void register_strategy(const StrategyEntry& entry);
// The one strategy that came at run time (engine/adopted/adopted.hpp): found by name, not among strategies().
void set_adopted(const StrategyEntry& entry);
template <Strategy S>
StrategyEntry make_entry(int order);  // engine/replay/runner.hpp

template <class S, int kOrder, bool kInThisShard>
struct Registration {
  Registration() {
    static_assert(Strategy<S>);
    if constexpr (kInThisShard) register_strategy(make_entry<S>(kOrder));
  }
};

}  // namespace memtool

#ifdef MEMTOOL_SHARD
#define MEMTOOL_STRATEGY_AT(TYPE, ORDER)                                                                    \
  namespace {                                                                                               \
  const ::memtool::Registration<TYPE, ORDER, ORDER % MEMTOOL_SHARDS == MEMTOOL_SHARD> registration_##ORDER; \
  }
#define MEMTOOL_STRATEGY_EXPANDED(TYPE, ORDER) MEMTOOL_STRATEGY_AT(TYPE, ORDER)
#define MEMTOOL_STRATEGY(TYPE) MEMTOOL_STRATEGY_EXPANDED(TYPE, __COUNTER__) static_assert(::memtool::Strategy<TYPE>)
#else
#define MEMTOOL_STRATEGY(TYPE) static_assert(::memtool::Strategy<TYPE>)
#endif
