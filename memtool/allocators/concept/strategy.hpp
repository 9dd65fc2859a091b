// The concept that every strategy models, and the types that it uses.
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

// The alignment of an allocation whose request names none (alignof(std::max_align_t) on both supported architectures).
// A smaller block may be aligned to the largest power of two that is not greater than its size.
inline constexpr std::size_t kDefaultAlignment = 16;
// A figure that a strategy cannot have, shown as n/a. A pool, for example, has no largest free block of another size.
inline constexpr std::uint64_t kNotApplicable = ~std::uint64_t{0};

// The order in which a strategy can free blocks.
enum class FreeOrder : std::uint8_t {
  any,    // any block at any time
  lifo,   // only the youngest live block
  fifo,   // only the oldest live block
  reset,  // none: deallocate does nothing, and memory is reclaimed at the end of a scope or at a reset
};

// How a replay, like the program it stands for, calls the operations of a strategy.
enum class CallRoute : std::uint8_t {
  inlined,  // compiled into the loop
  pointer,  // by an indirect call
  linker,   // through the dynamic linker, into another library or the kernel
};

struct StrategyInfo {
  std::string_view name;        // as the user writes it, such as "segregated-pool"
  std::string_view family;      // control | standard | pool | arena | free-list | real-time | buddy | pmr | mapping |
                                // persistent | thread
  std::string_view summary;     // one line
  std::string_view source;      // the paper, book or reference implementation it follows
  std::string_view complexity;  // cost of allocate and of deallocate, for n free blocks unless it says otherwise
  std::string_view when;        // when to use it, one line
  std::span<const ParameterInfo> parameters = {};
  FreeOrder free_order = FreeOrder::any;
  bool uses_region = true;   // with the default parameters; see uses_region() below
  bool uses_malloc = false;  // takes memory from the malloc of the process, always or with some parameters
  bool is_control = false;   // returns the same block again and again: measures the harness and is not checked
  bool thread_safe = false;  // any thread may call at any time, and free a block that another thread allocated
  CallRoute route = CallRoute::inlined;
  bool sized_free = true;  // false: its free takes only the pointer, even if the replay knows the size
};

// What a strategy can serve with these parameters. A workload that exceeds a limit is excluded before it starts.
struct Limits {
  std::uint64_t largest_size = kUnlimited;
  std::uint64_t largest_alignment = kUnlimited;
  std::uint64_t most_blocks = kUnlimited;  // live at once
  // The alignment of every block, even if the request asks for less. The memory that a block takes is a multiple of it.
  std::uint64_t least_alignment = kDefaultAlignment;
};

// Figures in bytes or blocks; kNotApplicable if the strategy has no such figure. Invariant: granted + free_bytes +
// metadata_bytes <= footprint + metadata_apart_bytes.
struct HeapStats {
  std::uint64_t granted = kNotApplicable;  // usable bytes of live blocks
  std::uint64_t free_bytes =
      kNotApplicable;  // reusable bytes inside the footprint, without the untouched tail of the region
  std::uint64_t largest_free = kNotApplicable;  // the largest single request that fits without growing
  std::uint64_t free_blocks = kNotApplicable;
  std::uint64_t used_blocks = kNotApplicable;
  std::uint64_t metadata_bytes = kNotApplicable;  // headers, bitmaps and tables, inside or outside the region
  std::uint64_t metadata_apart_bytes = 0;         // the part of metadata_bytes that lies outside the region
};

enum class BlockState : std::uint8_t { used, free, metadata };

// A heap walk visits the used part of the region in address order, without gaps or overlaps.
using BlockVisitor = std::function<void(const void* address, std::size_t bytes, BlockState state)>;

// Thrown by check(): an invariant of the strategy itself is broken. The message says which.
class BrokenInvariant : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

// Thrown by check(): an adaptor has detected misuse by the program above it or by the heap below it. The message
// describes it.
class Detected : public BrokenInvariant {
 public:
  using BrokenInvariant::BrokenInvariant;
};

inline void require(bool holds, const char* words) {
  if (!holds) throw BrokenInvariant(words);
}

// If a heap is thread_safe, this holds for all forms of allocation, for deallocate, for usable_size of a live block,
// and for stats(). The figures of stats() need to be consistent only while nothing else runs. walk() and check() are
// called only when no other thread is active.

// The operations that a replay needs. Sizes are in bytes and may be 0: like operator new, a heap serves 0 as 1, with a
// block of a unique address. Only a heap over malloc passes the 0 on. Alignments are powers of two, kDefaultAlignment
// unless the request names another.
template <class S>
concept ReplayableHeap = requires(S s, const S c, void* block, std::size_t n, const BlockVisitor& visit) {
  { c.info } -> std::convertible_to<const StrategyInfo&>;
  // Returns nullptr if memory is exhausted. The heap remains usable.
  { s.allocate(n, n) } noexcept -> std::same_as<void*>;
  // `size` and `alignment` are those with which the block was allocated.
  { s.deallocate(block, n, n) } noexcept;
  // The bytes that the caller may use of a live block requested with `size`.
  { c.usable_size(block, n) } noexcept -> std::same_as<std::size_t>;
  { c.stats() } noexcept -> std::same_as<HeapStats>;
  { c.walk(visit) };
  { c.check() };  // throws BrokenInvariant
};

template <class S>
concept Strategy = ReplayableHeap<S> && std::constructible_from<S, Region&, const Parameters&> && requires {
  { S::info } -> std::convertible_to<const StrategyInfo&>;
};

// The limits of a strategy with these parameters. A strategy that declares none serves every request.
template <Strategy S>
Limits limits_of(const Parameters& parameters) {
  if constexpr (requires { S::limits(parameters); }) {
    return S::limits(parameters);
  } else {
    return {};
  }
}

// Whether a strategy with these parameters takes its memory from the region, so that its footprint is counted. A
// strategy for which this depends on the parameters declares a function of its own.
template <Strategy S>
bool uses_region(const Parameters& parameters) {
  if constexpr (requires { S::uses_region(parameters); }) {
    return S::uses_region(parameters);
  } else {
    return S::info.uses_region;
  }
}

// Optional operations. If one is missing, the replay does what a program would do: it writes the zeroes; it allocates,
// copies and frees; it frees the objects of a scope one by one.
template <class S>
concept AllocatesZeroed = requires(S s, std::size_t n) {
  { s.allocate_zeroed(n, n) } noexcept -> std::same_as<void*>;
};
template <class S>
concept Reallocates = requires(S s, void* block, std::size_t n) {
  // (block, old size, new size, alignment). If it returns nullptr, the block is unchanged.
  { s.reallocate(block, n, n, n) } noexcept -> std::same_as<void*>;
};
// A strategy that can free, resize and measure a block from its pointer alone. For any other strategy, a program that
// frees a bare pointer needs something that records the size (allocators/support/as_malloc.hpp).
template <class S>
concept FreesBare = requires(S s, void* block) {
  { s.deallocate(block) } noexcept;
};
// A heap that remains usable across a fork. hold() acquires all its locks before the fork, and they are released
// afterwards in both processes. Apart from those locks the child finds no state half changed, except that of threads
// that it does not have. The heap requests memory for itself only when it is created and at a thread's first call. If
// memory is exhausted it sets errno, which a free preserves.
template <class S>
concept HeldForForks = requires(S s) {
  { s.hold() } noexcept;
  { s.let_go() } noexcept;
};
template <class S>
concept Scoped = requires(S s, typename S::Marker m) {
  { s.mark() } noexcept -> std::same_as<typename S::Marker>;
  { s.release(m) } noexcept;  // frees everything allocated since the marker
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
// Whether a heap has scopes is a property of its type. Below adaptors the type is not known, so there it is a property
// of the strategy at the bottom.
template <class S>
constexpr bool is_scoped(const S& heap) noexcept {
  if constexpr (requires { heap.scoped(); }) {
    return heap.scoped();
  } else {
    return Scoped<S>;
  }
}
// What a heap has recorded about its use: a report in JSON, and a description of misuse ("" if there was none).
template <class S>
concept Watches = requires(const S c) {
  { c.report() } -> std::same_as<std::string>;
  { c.finding() } -> std::same_as<const std::string&>;
};

}  // namespace memtool

// The last line of a strategy's header. When the engine is built, it also registers the strategy
// (engine/registry/instantiate.cpp).
#define MEMTOOL_STRATEGY(TYPE) static_assert(::memtool::Strategy<TYPE>)
