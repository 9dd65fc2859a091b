// Thread caches of arrays over spans. The design suits the interface of malloc, where a free gets only the pointer.
//
// One byte for each page of the region records the size class of its blocks. So a free reads one byte of a small table,
// and touches neither the block nor a header. For each class, a thread keeps free blocks in an array of pointers. An
// empty array is filled to the half, and a full array returns its older half, both under the lock of the class. A
// returned block goes to the span from which it was cut. When all blocks of a span have returned, its pages are free
// again for any class. When more than a few MiB of pages are idle, long runs of freed pages are returned to the system.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <span>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/classes/class_chunks.hpp"
#include "allocators/support/classes/class_table.hpp"
#include "allocators/support/classes/large_blocks.hpp"
#include "allocators/support/classes/page_classes.hpp"
#include "allocators/support/classes/page_runs.hpp"
#include "allocators/support/classes/spans.hpp"
#include "allocators/support/per_thread.hpp"

namespace memtool {

class ThreadSpans {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "cached",
       .summary = "largest number of bytes that a thread caches for a class, as 2 to 64 blocks",
       .default_value = 16 * 1024,
       .minimum = 16,
       .maximum = 1 << 20},
      kLargestClass,
      {.name = "span",
       .summary = "bytes taken for a size class at a time, at least four blocks",
       .default_value = 16 * 1024,
       .minimum = 4096,
       .maximum = 1 << 24},
  }};
  static constexpr StrategyInfo info{
      .name = "thread-spans",
      .family = "thread",
      .summary =
          "An array of free blocks for each size class in each thread, over spans whose pages are reused when empty.",
      .source =
          "Ghemawat and Menage, \"TCMalloc: Thread-Caching Malloc\", 2007 (spans, page map); Evans, \"A Scalable "
          "Concurrent malloc(3) Implementation for FreeBSD\", BSDCan 2006 (arrays of cached blocks)",
      .complexity = "allocate O(1), deallocate O(1); one lock for each half of an array",
      .when = "the malloc of a program, whose frees pass only a pointer, on one thread or on many",
      .parameters = kParameters,
      .thread_safe = true,
  };

  ThreadSpans(Region& region, const Parameters& parameters)
      : region_(region),
        runs_(region),
        pages_(region),
        classes_(kLog2Spacing, parameters["largest"]),
        span_(parameters["span"]) {
    std::size_t most = kMostCached;
    // Halves the longest array until the arrays of all classes fit into the slots of a thread.
    do {
      slots_ = 0;
      for (std::size_t index = 0; index < classes_.count(); ++index) {
        first_slot_[index] = static_cast<std::uint32_t>(slots_);
        slots_ += std::clamp<std::uint64_t>(parameters["cached"] / classes_.size(index), 2, most);
      }
      first_slot_[classes_.count()] = static_cast<std::uint32_t>(slots_);
      most /= 2;
    } while (slots_ > kSlots);
    region.count_apart(this, [](const void* heap, std::size_t used) noexcept {
      const auto* own = static_cast<const ThreadSpans*>(heap);
      return own->runs_.table_bytes(used) + own->pages_.bytes(used);
    });
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (!classes_.is_plain(size, alignment)) [[unlikely]]
      return allocate_otherwise(size, alignment);
    return allocate_of_class(classes_.plain_index(size));
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept {
    void* block = allocate(size, alignment);
    if (block == nullptr) return nullptr;
    // Fresh pages from the system are zero, and cost nothing until they are written.
    if (size >= kLongRun && pages_.of(block) == ClassTable::kNone &&
        region_.discard(block, bits::round_up(size, PageRuns::kPage)))
      return block;
    return std::memset(block, 0, size);
  }

  // A block that was resized in place may be of another class than its size says.
  void deallocate(void* block, std::size_t, std::size_t) noexcept { deallocate(block); }
  void deallocate(void* block) noexcept { deallocate_of_class(block, pages_.of(block)); }

  // Moves the block if it is too small, or if less than half of it would be used.
  void* reallocate(void* block, std::size_t old_size, std::size_t size, std::size_t alignment) noexcept {
    const std::size_t usable = usable_size(block, old_size);
    if (size <= usable && (size >= usable / 2 || usable == SizeClasses::kQuantum)) return block;
    if (pages_.of(block) == ClassTable::kNone && classes_.index(size, kDefaultAlignment) == ClassTable::kNone) {
      const std::scoped_lock lock(pages_mutex_);
      if (large_.resize(block, size)) return block;
    }
    void* moved = allocate(size, alignment);
    if (moved == nullptr) return size <= usable ? block : nullptr;
    std::memcpy(moved, block, std::min(old_size, size));
    deallocate(block);
    return moved;
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::size_t index = pages_.of(block);
    return index == ClassTable::kNone ? runs_.run_bytes(block) : classes_.size(index);
  }

  HeapStats stats() const noexcept {
    std::array<std::size_t, SizeClasses::kMost> cached{};
    for_each_array([&](std::size_t index, std::span<void* const> array) { cached[index] += array.size(); });
    const std::size_t apart = threads_.bytes();
    HeapStats stats;
    {
      const std::scoped_lock lock(pages_mutex_);
      stats = class_chunks::stats_of_pages(runs_, large_, apart + pages_.bytes());
      stats.metadata_bytes += records_.pages() * PageRuns::kPage;
    }
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Central& central = central_[index];
      const std::scoped_lock lock(central.mutex);
      const std::size_t used = central.out - std::min(central.out, cached[index]);
      class_chunks::add_class(stats, classes_.size(index), used, central.blocks - used);
    }
    return stats;
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<const std::byte*> free = free_blocks();
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t tag = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (tag == PageRuns::kNoTag) return visit(address, bytes, is_free ? BlockState::free : BlockState::used);
      if (tag == SpanRecords::kTag) return visit(address, bytes, BlockState::metadata);
      const Span& span = records_.at(tag);
      class_chunks::walk(address, bytes, classes_.size(span.index), span.fresh, span.end, free, visit);
    });
  }

  void check() const {
    runs_.check();
    std::array<std::size_t, SizeClasses::kMost> blocks{};
    std::array<std::size_t, SizeClasses::kMost> out{};
    runs_.for_each([&](const std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t tag = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (tag == PageRuns::kNoTag || tag == SpanRecords::kTag) return;
      const Span& span = records_.at(tag);
      require(pages_.of(address) == span.index, "a page does not know its class");
      const std::size_t size = classes_.size(span.index);
      require(span.count(size) + span.out == bytes / size, "blocks of a span are neither out nor in it");
      blocks[span.index] += bytes / size;
      out[span.index] += span.out;
    });
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      require(blocks[index] == central_[index].blocks, "a class does not know how many blocks its spans hold");
      require(out[index] == central_[index].out, "a class does not know how many of its blocks are out");
      for (const Span* span = central_[index].spans; span != nullptr; span = span->next)
        require(span->index == index && span->has_room(), "a span without room, or of another class, is listed");
    }
    for_each_array([&](std::size_t index, std::span<void* const> array) {
      for (const void* block : array) require(pages_.of(block) == index, "an array holds a block of another class");
    });
    const std::vector<const std::byte*> free = free_blocks();
    require(std::ranges::adjacent_find(free) == free.end(), "a block is free twice");
  }

  // Called around a fork. Each array belongs to its thread; the child uses only the arrays of the forking thread.
  void hold() noexcept {
    threads_.hold();
    for (Central& central : central_) central.mutex.lock();
    pages_mutex_.lock();
  }
  void let_go() noexcept {
    pages_mutex_.unlock();
    for (Central& central : central_) central.mutex.unlock();
    threads_.let_go();
  }

  // Whether the calling thread has called before (preload/malloc_library.hpp). unbind() makes it count as a new thread.
  [[nodiscard, gnu::always_inline]] bool is_bound() const noexcept { return threads_.bound() != nullptr; }
  void unbind() noexcept { threads_.unbind(); }

 private:
  static constexpr unsigned kLog2Spacing = 2;
  // Fewer than the narrowest spacing could need, because a process writes to each class when it starts.
  static constexpr std::size_t kMostClasses = SizeClasses(kLog2Spacing, ClassTable::kMostLargest).count();
  static constexpr std::size_t kMostCached = 64;
  static constexpr std::size_t kSlots = 2048;
  static constexpr std::size_t kLongRun = 128 * 1024;
  static constexpr std::size_t kSpansThatGrow = 4;
  static constexpr std::size_t kLeastIdle = std::size_t{4} << 20;

  // Only the owning thread changes it; other threads may read how many blocks it holds.
  struct alignas(32) Bin {
    std::atomic<void**> top = nullptr;  // one behind the youngest block
    void** empty = nullptr;             // address of the first slot
    void** full = nullptr;              // one behind the last slot
  };
  struct State {
    explicit State(std::size_t) noexcept {}
    std::array<Bin, ClassTable::kNone + 1> bins;
    std::array<void*, kSlots> slots;  // slots above the top of an array are never read, so their pages stay untouched
  };
  // The central store of one class, on its own cache lines.
  struct alignas(128) Central {
    mutable std::mutex mutex;
    Span* spans = nullptr;   // spans with free blocks
    std::size_t blocks = 0;  // in all spans
    std::size_t out = 0;     // in thread caches or in use
  };

  friend class PerThread<State, ThreadSpans>;
  void thread_ends(State& state) noexcept {
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      Bin& bin = state.bins[index];
      void** const top = bin.top.load(std::memory_order_relaxed);
      if (top != bin.empty) give_back(index, {bin.empty, top});
      bin.top.store(bin.empty, std::memory_order_relaxed);
    }
  }

  [[gnu::always_inline]] void deallocate_of_class(void* block, std::size_t index) noexcept {
    State* state = threads_.bound();
    if (state == nullptr) [[unlikely]]
      return deallocate_slowly(index, block);
    // The array of large blocks has no slots, so it counts as full here.
    Bin& bin = state->bins[index];
    void** const top = bin.top.load(std::memory_order_relaxed);
    if (top == bin.full) [[unlikely]]
      return deallocate_slowly(index, block);
    *top = block;
    bin.top.store(top + 1, std::memory_order_relaxed);
  }

  [[gnu::noinline]] void* allocate_otherwise(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    return index == ClassTable::kNone ? allocate_large(size, alignment) : allocate_of_class(index);
  }

  [[gnu::always_inline]] void* allocate_of_class(std::size_t index) noexcept {
    State* state = threads_.bound();
    if (state == nullptr) [[unlikely]]
      return allocate_slowly(index);
    Bin& bin = state->bins[index];
    void** top = bin.top.load(std::memory_order_relaxed);
    if (top == bin.empty) [[unlikely]]
      return allocate_slowly(index);
    bin.top.store(--top, std::memory_order_relaxed);
    return *top;
  }

  [[gnu::noinline]] void* allocate_slowly(std::size_t index) noexcept {
    State* state = threads_.mine();
    void* block = nullptr;
    if (state == nullptr) return take(index, {&block, 1}) == 0 ? no_memory() : block;
    Bin& bin = opened(*state, index);
    if (bin.top.load(std::memory_order_relaxed) != bin.empty)
      return allocate_of_class(index);  // the thread was bound to another heap
    const std::size_t capacity = static_cast<std::size_t>(bin.full - bin.empty);
    const std::span<void*> slots(bin.empty, (capacity + 1) / 2);
    const std::size_t taken = take(index, slots);
    if (taken == 0) return no_memory();
    if (taken < slots.size()) std::ranges::copy(slots.last(taken), bin.empty);
    bin.top.store(bin.empty + taken - 1, std::memory_order_relaxed);
    return bin.empty[taken - 1];
  }

  [[gnu::noinline]] void deallocate_slowly(std::size_t index, void* block) noexcept {
    if (index == ClassTable::kNone) return deallocate_large(block);
    State* state = threads_.mine();
    if (state == nullptr) return give_back(index, {&block, 1});
    Bin& bin = opened(*state, index);
    void** top = bin.top.load(std::memory_order_relaxed);
    if (top == bin.full) {
      const auto older = (bin.full - bin.empty + 1) / 2;
      give_back(index, {bin.empty, bin.empty + older});
      top = std::copy(bin.empty + older, top, bin.empty);
    }
    *top = block;
    bin.top.store(top + 1, std::memory_order_relaxed);
  }

  static void* no_memory() noexcept {
    errno = ENOMEM;
    return nullptr;
  }

  Bin& opened(State& state, std::size_t index) noexcept {
    Bin& bin = state.bins[index];
    if (bin.full == nullptr) {
      bin.empty = &state.slots[first_slot_[index]];
      bin.full = state.slots.data() + first_slot_[index + 1];
      bin.top.store(bin.empty, std::memory_order_relaxed);
    }
    return bin;
  }

  // Takes up to `slots.size()` blocks of a class and returns their number. Blocks of a new span come lowest address
  // first. They fill `slots` from the end, so that the first block taken is the first to be used.
  std::size_t take(std::size_t index, std::span<void*> slots) noexcept {
    const std::size_t size = classes_.size(index);
    Central& central = central_[index];
    const std::scoped_lock lock(central.mutex);
    std::size_t taken = 0;
    while (taken < slots.size()) {
      Span* span = central.spans;
      if (span == nullptr) {
        // The blocks found so far suffice. Memory is requested only if there are none.
        if (taken > 0 || (span = add_span(central, index)) == nullptr) break;
      }
      taken += span->take(slots.first(slots.size() - taken), size);
      if (!span->has_room()) Span::unlink(central.spans, *span);
    }
    central.out += taken;
    return taken;
  }

  void give_back(std::size_t index, std::span<void* const> blocks) noexcept {
    Central& central = central_[index];
    const std::scoped_lock lock(central.mutex);
    central.out -= blocks.size();
    const SpanRecords::Finder spans(records_);
    for (void* block : blocks) {
      Span& span = spans.of(block);
      if (!span.has_room()) [[unlikely]]
        Span::link(central.spans, span);
      span.give_back(block);
      // The only span with room stays, for the next request.
      if (span.out == 0 && (span.previous != nullptr || span.next != nullptr)) [[unlikely]]
        remove_span(central, span);
    }
  }

  Span* add_span(Central& central, std::size_t index) noexcept {
    const std::size_t size = classes_.size(index);
    const std::scoped_lock lock(pages_mutex_);
    Span* span = records_.make();
    if (span == nullptr) return nullptr;
    for (const std::size_t least : {std::max(span_, 4 * size), size}) {
      const std::size_t bytes = bits::round_up(least, PageRuns::kPage);
      auto* run = static_cast<std::byte*>(runs_.allocate(bytes / PageRuns::kPage, PageRuns::kPage));
      if (run == nullptr) continue;
      runs_.set_tag(run, records_.tag(*span));
      pages_.set(run, bytes, static_cast<std::uint8_t>(index));
      populate(run, bytes, size, central.blocks * size);
      *span = {.run = run, .fresh = run, .end = run + bytes / size * size, .index = static_cast<std::uint32_t>(index)};
      central.blocks += bytes / size;
      Span::link(central.spans, *span);
      return span;
    }
    records_.drop(*span);
    return nullptr;
  }
  // Faults in the pages of a new span, because a class that already has several spans will fill this one too. Pages
  // that were in use before are already present.
  void populate(std::byte* run, std::size_t bytes, std::size_t size, std::size_t held) noexcept {
    std::byte* const first = std::max(run, reached_);
    std::byte* const end = run + bytes;
    if (end <= first) return;
    reached_ = end;
    if (size <= PageRuns::kPage && held >= kSpansThatGrow * span_)
      PageRuns::populate(first, static_cast<std::size_t>(end - first));
  }
  void remove_span(Central& central, Span& span) noexcept {
    Span::unlink(central.spans, span);
    central.blocks -= static_cast<std::size_t>(span.end - span.run) / classes_.size(span.index);
    const std::scoped_lock lock(pages_mutex_);
    runs_.deallocate(span.run);
    records_.drop(span);
  }

  void* allocate_large(std::size_t size, std::size_t alignment) noexcept {
    const std::scoped_lock lock(pages_mutex_);
    void* block = large_.allocate(size, alignment);
    if (block == nullptr) return no_memory();
    pages_.set(block, 1, ClassTable::kNone);
    idle_ -= std::min(idle_, runs_.run_bytes(block));
    return block;
  }
  // The number of free pages that still have memory behind them is only an estimate: some returned pages are used
  // again, and spans take others. It never exceeds the number of free pages.
  void deallocate_large(void* block) noexcept {
    const std::scoped_lock lock(pages_mutex_);
    const std::size_t bytes = runs_.run_bytes(block);
    idle_ = std::min(idle_, runs_.free_bytes());
    large_.deallocate(block);
    if (bytes < kLongRun || idle_ + bytes <= std::max(kLeastIdle, runs_.used_bytes() / 16) ||
        !region_.discard(block, bytes))
      idle_ += bytes;
  }

  // Calls visit(class, blocks) for every array of every thread.
  template <class Visit>
  void for_each_array(Visit visit) const {
    threads_.for_each([&](const State& state) {
      for (std::size_t index = 0; index < classes_.count(); ++index) {
        void* const* const empty = &state.slots[first_slot_[index]];
        void* const* const top = state.bins[index].top.load(std::memory_order_relaxed);
        if (top != nullptr) visit(index, std::span<void* const>(empty, top));
      }
    });
  }
  // The blocks in arrays and in lists of spans, sorted. Fresh blocks are not among them.
  std::vector<const std::byte*> free_blocks() const {
    std::vector<const std::byte*> blocks;
    for_each_array([&](std::size_t, std::span<void* const> array) {
      for (const void* block : array) blocks.push_back(static_cast<const std::byte*>(block));
    });
    for (const Central& central : central_)
      for (const Span* span = central.spans; span != nullptr; span = span->next)
        for (const FreeList::Link* link = span->free; link != nullptr; link = link->next)
          blocks.push_back(reinterpret_cast<const std::byte*>(link));
    std::ranges::sort(blocks);
    return blocks;
  }

  Region& region_;
  mutable std::mutex pages_mutex_;  // acquired last; protects runs_, pages_, large_, records_ and idle_
  PageRuns runs_;
  PageClasses pages_;
  LargeBlocks large_{runs_};
  SpanRecords records_{region_, runs_};
  ClassTable classes_;
  std::size_t span_;
  std::size_t slots_ = 0;
  std::byte* reached_ = nullptr;  // pages from here on have never been in a span
  std::size_t idle_ = 0;          // bytes of free pages that have been in use
  std::array<std::uint32_t, kMostClasses + 1> first_slot_{};
  std::array<Central, kMostClasses> central_;
  PerThread<State, ThreadSpans> threads_{*this};
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::ThreadSpans);
