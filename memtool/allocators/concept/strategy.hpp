// What a strategy is: the vocabulary that every allocator strategy speaks, and the concept that checks it.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "allocators/concept/parameters.hpp"
#include "allocators/concept/region.hpp"

namespace memtool {

// What an allocation is aligned to when its request names no alignment (alignof(std::max_align_t) on both
// supported architectures). Blocks smaller than that may be aligned to the largest power of two they hold.
inline constexpr std::size_t kDefaultAlignment = 16;
// A figure that a strategy cannot have (a pool has no largest free block of another size): shown as n/a.
inline constexpr std::uint64_t kNotApplicable = ~std::uint64_t{0};

// In which order a strategy can take blocks back.
enum class FreeOrder : std::uint8_t {
  any,    // each block by itself, whenever
  lifo,   // only the youngest live block
  fifo,   // only the oldest live block
  reset,  // never by itself: deallocate is a no-op, memory comes back at the end of a scope or a reset
};

// How a replay, like the program that it stands for, reaches a strategy's operations.
enum class CallRoute : std::uint8_t {
  inlined,  // compiled into the loop
  pointer,  // by an indirect call
  linker,   // by the dynamic linker, into another library or the kernel
};

struct StrategyInfo {
  std::string_view name;        // as the user writes it: "segregated-pool"
  std::string_view family;      // control | standard | pool | arena | free-list | real-time | buddy | pmr | mapping |
                                // persistent | thread
  std::string_view summary;     // one line
  std::string_view source;      // paper, book or reference implementation it follows
  std::string_view complexity;  // cost of allocate and of deallocate, in n free blocks or whatever it depends on
  std::string_view when;        // when to use it, one line
  std::span<const ParameterInfo> parameters = {};
  FreeOrder free_order = FreeOrder::any;
  bool uses_region = true;   // with its default parameters; see uses_region() below
  bool uses_malloc = false;  // takes memory from whichever malloc serves the process, always or with some parameters
  bool is_control = false;   // hands out the same block again and again: measures the harness, is not checked
  bool thread_safe = false;  // any thread may call it at any time, and free what another has allocated
  CallRoute route = CallRoute::inlined;
  bool sized_free = true;  // false: its free gets the pointer alone, whatever the replay knows
};

// What a strategy, with these parameters, is able to serve. A workload beyond it is excluded before it starts.
struct Limits {
  std::uint64_t largest_size = kUnlimited;
  std::uint64_t largest_alignment = kUnlimited;
  std::uint64_t most_blocks = kUnlimited;  // live at once
  // What every block is aligned to, also where less is asked for: what blocks take is rounded up to a multiple of it.
  std::uint64_t least_alignment = kDefaultAlignment;
};

// All in bytes or blocks, kNotApplicable where the strategy has no such thing.
// Invariant, always: granted + free_bytes + metadata_bytes <= footprint + metadata_apart_bytes.
struct HeapStats {
  std::uint64_t granted = kNotApplicable;  // usable bytes of live blocks
  std::uint64_t free_bytes =
      kNotApplicable;  // reusable bytes inside the footprint (not the untouched tail of the region)
  std::uint64_t largest_free = kNotApplicable;  // largest single request that fits without growing
  std::uint64_t free_blocks = kNotApplicable;
  std::uint64_t used_blocks = kNotApplicable;
  std::uint64_t metadata_bytes = kNotApplicable;  // headers, bitmaps, tables; wherever they lie
  std::uint64_t metadata_apart_bytes = 0;         // the part of metadata_bytes that lies outside the region
};

enum class BlockState : std::uint8_t { used, free, metadata };

// A heap walk visits the used part of the region in address order, without gaps or overlaps.
using BlockVisitor = std::function<void(const void* address, std::size_t bytes, BlockState state)>;

// Thrown by check(): an invariant of the strategy itself is broken, said in words.
class BrokenInvariant : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Thrown by check(): an adaptor has found the program below or above it doing what it must not, said in words.
class Detected : public BrokenInvariant {
 public:
  using BrokenInvariant::BrokenInvariant;
};

inline void require(bool holds, const char* words) {
  if (!holds) throw BrokenInvariant(words);
}

// A heap that is thread_safe is so for allocate and its kind, deallocate, usable_size of a live block, and stats(),
// whose figures need only agree with each other while nothing else runs. walk() and check() are called in quiet only.

// What a replay asks of a heap. Sizes are in bytes, >= 0: like operator new a heap serves 0 as 1, with a block that is
// no other's, and only one over malloc hands the 0 on. Alignments are powers of two, kDefaultAlignment unless the
// request asked for more or less.
template <class S>
concept ReplayableHeap = requires(S s, const S c, void* block, std::size_t n, const BlockVisitor& visit) {
  { c.info } -> std::convertible_to<const StrategyInfo&>;
  // nullptr when memory is out; the heap stays usable.
  { s.allocate(n, n) } noexcept -> std::same_as<void*>;
  // `size` and `alignment` are those of the allocation.
  { s.deallocate(block, n, n) } noexcept;
  // Bytes the caller may use of a live block that was asked for with `size`.
  { c.usable_size(block, n) } noexcept -> std::same_as<std::size_t>;
  { c.stats() } noexcept -> std::same_as<HeapStats>;
  { c.walk(visit) };
  { c.check() };  // throws BrokenInvariant
};

template <class S>
concept Strategy = ReplayableHeap<S> && std::constructible_from<S, Region&, const Parameters&> && requires {
  { S::info } -> std::convertible_to<const StrategyInfo&>;
};

// What a strategy with these parameters serves: whatever is asked for, where it says nothing else.
template <Strategy S>
Limits limits_of(const Parameters& parameters) {
  if constexpr (requires { S::limits(parameters); }) {
    return S::limits(parameters);
  } else {
    return {};
  }
}

// Whether a strategy with these parameters lives on its region, so that its footprint is counted. One for which that
// depends on them says so itself.
template <Strategy S>
bool uses_region(const Parameters& parameters) {
  if constexpr (requires { S::uses_region(parameters); }) {
    return S::uses_region(parameters);
  } else {
    return S::info.uses_region;
  }
}

// Optional abilities. Where one is absent the replay does what a program would: zero by hand; allocate, copy, free;
// free the objects of a scope one by one.
template <class S>
concept AllocatesZeroed = requires(S s, std::size_t n) {
  { s.allocate_zeroed(n, n) } noexcept -> std::same_as<void*>;
};
template <class S>
concept Reallocates = requires(S s, void* block, std::size_t n) {
  // (block, old size, new size, alignment); nullptr leaves the block as it was.
  { s.reallocate(block, n, n, n) } noexcept -> std::same_as<void*>;
};
// Needs nothing but the block to free it; its usable_size() and reallocate() need no size either. Any other strategy
// has to be told the size, or to keep it, where a program frees a bare pointer (allocators/support/as_malloc.hpp).
template <class S>
concept FreesBare = requires(S s, void* block) {
  { s.deallocate(block) } noexcept;
};
// Takes all its locks before a fork, and opens them after it, in both processes; and has nothing besides that the child
// would find half done, but what belongs to threads that the child has not. It asks for memory of its own only when it
// is made, and at a thread's first call. Where memory is out it says so in errno, which a free leaves as it is.
template <class S>
concept HeldForForks = requires(S s) {
  { s.hold() } noexcept;
  { s.let_go() } noexcept;
};
template <class S>
concept Scoped = requires(S s, typename S::Marker m) {
  { s.mark() } noexcept -> std::same_as<typename S::Marker>;
  { s.release(m) } noexcept;  // everything allocated since the marker is gone
};
struct NoMarker {};
template <class S>
struct MarkerOfStrategy {
  using type = NoMarker;
};
template <Scoped S>
struct MarkerOfStrategy<S> {
  using type = typename S::Marker;
};
template <class S>
using MarkerOf = typename MarkerOfStrategy<S>::type;
// Whether a heap knows scopes is a property of its type, but for one that adaptors stand on: there it is the bottom's.
template <class S>
constexpr bool is_scoped(const S& heap) noexcept {
  if constexpr (requires { heap.scoped(); }) {
    return heap.scoped();
  } else {
    return Scoped<S>;
  }
}
// What it has seen of the program's use of it: a report in JSON, and misuse in words ("" where there was none).
template <class S>
concept Watches = requires(const S c) {
  { c.report() } -> std::same_as<std::string>;
  { c.finding() } -> std::same_as<const std::string&>;
};

}  // namespace memtool

// The last line of a strategy's header. Where the engine is built, it enters the strategy besides
// (engine/registry/instantiate.cpp).
#define MEMTOOL_STRATEGY(TYPE) static_assert(::memtool::Strategy<TYPE>)
