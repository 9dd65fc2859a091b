// The adaptors in this engine, and a strategy with adaptors over it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "allocators/concept/adaptor.hpp"
#include "engine/instruments/pages.hpp"
#include "engine/registry/registry.hpp"

namespace memtool {

class Recipe;

// Destroys a heap. Its memory is freed unless it belongs to the recipe.
struct EndOfHeap {
  bool frees = true;
  void operator()(AnyHeap* heap) const { frees ? delete heap : heap->~AnyHeap(); }
};

struct AdaptorEntry {
  const AdaptorInfo* info;
  // The alignment with which a request aligned to `alignment` reaches the heap below.
  std::uint64_t (*alignment_below)(const Parameters&, std::uint64_t alignment);
  // The limits of a heap under the adaptor, for requests aligned to `alignment`. Throws CannotStand.
  Limits (*limits)(const Parameters&, const Limits& below, std::uint64_t alignment);
  std::unique_ptr<AnyHeap> (*open)(std::unique_ptr<AnyHeap> below, const Parameters&, Findings&);
  // The replay in which this adaptor is the outermost.
  void (*replay)(const Recipe&, const ReplayRequest&, ReplayResult&);
};

// All adaptors, in the order of allocators/adaptors.hpp.
const std::vector<AdaptorEntry>& adaptors();

// A strategy with its parameters, and the adaptors over it, the innermost first.
class Recipe {
 public:
  // `name` is "pool+redzone+lock", and `parameters` are those of each part in turn, "block=64+bytes=32+"; adaptors at
  // the end may have none. Throws std::invalid_argument with one line for an unknown name or value, and CannotStand for
  // an adaptor that cannot wrap the heap below it.
  Recipe(std::string_view name, std::string_view parameters);

  [[nodiscard]] StrategyInfo info() const noexcept;
  // The limits for requests aligned to `alignment`, which determines what some adaptors add to a block. Throws
  // CannotStand.
  [[nodiscard]] Limits limits(std::uint64_t alignment = kDefaultAlignment) const;
  [[nodiscard]] std::unique_ptr<AnyHeap> open(Region& region, Findings& findings) const;
  // Like open(), in a replay. A strategy without adaptors is created in memory that was resident before, because a heap
  // may be compared with the memory of the process before it existed.
  [[nodiscard]] std::unique_ptr<AnyHeap, EndOfHeap> open_for_replay(Region& region, Findings& findings) const;
  // For a recipe that ends with the adaptor as-malloc.
  [[nodiscard]] std::unique_ptr<MallocHeap> open_as_malloc(Region& region, Findings& findings) const;
  void replay(const ReplayRequest& request, ReplayResult& result);
  // The code that a kind of work has compiled into the strategy; nullptr: none, or there are adaptors over the
  // strategy.
  [[nodiscard]] const void* inlined(std::string_view kind) const noexcept;

 private:
  struct Over {
    const AdaptorEntry* entry;
    Parameters parameters;
  };
  void refuse_what_cannot_stand() const;
  [[nodiscard]] StrategyInfo info_of(std::size_t adaptors) const noexcept;
  [[nodiscard]] std::unique_ptr<AnyHeap> open(Region& region, Findings& findings, std::size_t adaptors) const;
  // Whether the adaptor at `place` compiles the strategy itself into a malloc's interface.
  [[nodiscard]] bool compiles_as_malloc(std::size_t place) const noexcept;
  // Whether the heap below the adaptor at `place` can free a block without its size.
  [[nodiscard]] bool frees_bare(std::size_t place) const noexcept;

  const StrategyEntry* strategy_;
  Parameters parameters_;
  std::vector<Over> over_;
  std::optional<Table<std::byte>> place_;  // of a strategy without adaptors, in a replay
};

}  // namespace memtool
