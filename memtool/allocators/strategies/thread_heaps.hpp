// One heap for each thread. Each heap has its own pools for every size class, and its own chunks from which it carves
// blocks.
//
// A block belongs to the heap that carved it. With `foreign=return`, a block that another thread frees goes back to
// that heap: any thread can push it on the owner's list without a lock, and the owner takes the whole list when its own
// blocks have run out. With `foreign=keep`, the block stays with the thread that freed it. Then a thread that only
// allocates never gets memory back from a thread that only frees, and the heap can grow without bound although few
// blocks are live. This is the textbook mistake that the parameter demonstrates.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/classes/class_chunks.hpp"
#include "allocators/support/classes/class_table.hpp"
#include "allocators/support/classes/large_blocks.hpp"
#include "allocators/support/classes/page_runs.hpp"
#include "allocators/support/per_thread.hpp"

namespace memtool {

class ThreadHeaps {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "foreign",
       .summary = "who gets a block that another thread frees: its owner, or that thread",
       .default_value = 0,
       .unit = "choice",
       .choices = "return|keep"},
      kLargestClass,
      {.name = "chunk",
       .summary = "bytes that a heap takes for a size class at a time",
       .default_value = 16 * 1024,
       .minimum = 4096,
       .maximum = 1 << 24},
  }};
  static constexpr StrategyInfo info{
      .name = "thread-heaps",
      .family = "thread",
      .summary = "A heap for each thread; a block that another thread frees returns to its owner.",
      .source =
          "Berger et al., \"Hoard\", ASPLOS 2000, section 2 (private heaps with ownership); Leijen et al., "
          "\"Mimalloc\", 2019 (lists of foreign frees)",
      .complexity = "allocate O(1), deallocate O(1): a free of another thread's block is one atomic exchange",
      .when = "threads that mostly free what they have allocated themselves",
      .parameters = kParameters,
      .thread_safe = true,
  };

  ThreadHeaps(Region& region, const Parameters& parameters)
      : region_(region),
        runs_(region),
        classes_(2, parameters["largest"]),
        chunk_(bits::round_up(parameters["chunk"], PageRuns::kPage)),
        keeps_foreign_(parameters["foreign"] != 0) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return allocate_large(size, alignment);
    Heap* heap = heaps_.mine();
    if (heap == nullptr) [[unlikely]]
      return nullptr;
    Pool& pool = heap->pools[index];
    Link* block = pool.free;
    if (block == nullptr) [[unlikely]]
      return allocate_slowly(*heap, index);
    pool.free = block->next;
    pool.count(pool.allocations);
    return block;
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return deallocate_large(block);
    deallocate_of_class(index, runs_.tag(block) >> kClassBits, block);
  }
  // The page in which a block lies records its class.
  void deallocate(void* block) noexcept {
    const std::uint32_t tag = runs_.tag(block);
    if (tag == PageRuns::kNoTag) [[unlikely]]
      return deallocate_large(block);
    deallocate_of_class(tag & kClassMask, tag >> kClassBits, block);
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::uint32_t tag = runs_.tag(block);
    return tag == PageRuns::kNoTag ? runs_.run_bytes(block) : classes_.size(tag & kClassMask);
  }

  HeapStats stats() const noexcept {
    std::array<std::size_t, SizeClasses::kMost> blocks{};
    std::array<std::size_t, SizeClasses::kMost> used{};
    heaps_.for_each([&](const Heap& heap) {
      for (std::size_t index = 0; index < classes_.count(); ++index) {
        const Pool& pool = heap.pools[index];
        blocks[index] += pool.blocks.load(std::memory_order_relaxed);
        // One heap may have freed more blocks than it allocated. Only the sum over all heaps is a number of blocks.
        used[index] += pool.allocations.load(std::memory_order_relaxed) - pool.frees.load(std::memory_order_relaxed) -
                       pool.returned.load(std::memory_order_relaxed);
      }
    });
    const std::size_t apart = heaps_.bytes();
    const std::scoped_lock lock(pages_mutex_);
    HeapStats stats = class_chunks::stats_of_pages(runs_, large_, apart);
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const std::size_t in_use = std::min(used[index], blocks[index]);
      class_chunks::add_class(stats, classes_.size(index), in_use, blocks[index] - in_use);
    }
    return stats;
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<const std::byte*> free = free_blocks();
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t tag = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (tag == PageRuns::kNoTag) return visit(address, bytes, is_free ? BlockState::free : BlockState::used);
      const Pool& pool = heaps_.at(tag >> kClassBits).pools[tag & kClassMask];
      class_chunks::walk(address, bytes, classes_.size(tag & kClassMask), pool.fresh, pool.end, free, visit);
    });
  }

  void check() const {
    runs_.check();
    std::size_t carved = 0;
    runs_.for_each([&](const std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t tag = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (tag != PageRuns::kNoTag) carved += bytes / classes_.size(tag & kClassMask);
    });
    std::size_t blocks = 0;
    std::size_t fresh = 0;
    std::size_t used = 0;
    heaps_.for_each([&](const Heap& heap) {
      for (std::size_t index = 0; index < classes_.count(); ++index) {
        const Pool& pool = heap.pools[index];
        blocks += pool.blocks.load();
        fresh += static_cast<std::size_t>(pool.end - pool.fresh) / classes_.size(index);
        used += pool.allocations.load() - pool.frees.load() - pool.returned.load();
      }
    });
    require(carved == blocks, "the heaps do not know how many blocks their chunks hold");
    for_each_free([&](const std::byte* block, const Heap& heap, std::size_t index, bool returned) {
      require(region_.contains(block, classes_.size(index)), "a free list leaves the region");
      const std::uint32_t tag = runs_.tag(block);
      require((tag & kClassMask) == index, "a free list holds a block of another class");
      require(keeps_foreign_ ? !returned : tag >> kClassBits == heap.number, "a free list holds another heap's block");
    });
    const std::vector<const std::byte*> free = free_blocks();
    require(std::ranges::adjacent_find(free) == free.end(), "a block is in the free lists twice");
    require(blocks == used + fresh + free.size(), "blocks are neither used nor free");
  }

 private:
  static constexpr unsigned kClassBits = 8;
  static constexpr std::uint32_t kClassMask = (1u << kClassBits) - 1;
  static_assert(SizeClasses::kMost <= kClassMask);

  struct Link {
    Link* next;
  };

  struct alignas(64) Pool {
    Link* free = nullptr;
    std::byte* fresh = nullptr;  // start of the blocks that were never allocated, up to `end`
    std::byte* end = nullptr;
    std::atomic<std::size_t> blocks = 0;  // in all chunks
    std::atomic<std::size_t> allocations = 0;
    std::atomic<std::size_t> frees = 0;  // frees whose block stayed with the freeing thread
    // Blocks that other threads freed. It has its own cache line, because other threads write it.
    alignas(64) std::atomic<Link*> foreign = nullptr;
    std::atomic<std::size_t> returned = 0;  // number of blocks returned through `foreign`

    // Only the owning thread counts, so no lock is needed; other threads may read.
    static void count(std::atomic<std::size_t>& counter) noexcept {
      counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
  };
  struct Heap {
    explicit Heap(std::size_t index) noexcept : number(static_cast<std::uint32_t>(index)) {}
    std::array<Pool, SizeClasses::kMost> pools;
    std::uint32_t number;
  };

  // When a thread ends, its heap waits unchanged for the next thread, which takes it over with its blocks.
  friend class PerThread<Heap, ThreadHeaps>;
  void thread_ends(Heap&) noexcept {}

  static void give_back(Pool& owner, void* block) noexcept {
    Link* link = new (block) Link{owner.foreign.load(std::memory_order_relaxed)};
    while (
        !owner.foreign.compare_exchange_weak(link->next, link, std::memory_order_release, std::memory_order_relaxed)) {
    }
    owner.returned.fetch_add(1, std::memory_order_relaxed);
  }

  [[gnu::noinline]] void* allocate_slowly(Heap& heap, std::size_t index) noexcept {
    Pool& pool = heap.pools[index];
    std::byte* block = nullptr;
    if (pool.foreign.load(std::memory_order_relaxed) != nullptr) {
      Link* first = pool.foreign.exchange(nullptr, std::memory_order_acquire);
      pool.free = first->next;
      block = reinterpret_cast<std::byte*>(first);
    } else {
      if (pool.fresh == pool.end && !add_chunk(heap, index)) return nullptr;
      block = pool.fresh;
      pool.fresh += classes_.size(index);
    }
    pool.count(pool.allocations);
    return block;
  }

  bool add_chunk(Heap& heap, std::size_t index) noexcept {
    Pool& pool = heap.pools[index];
    const std::size_t size = classes_.size(index);
    const std::scoped_lock lock(pages_mutex_);
    const auto chunk =
        class_chunks::take(runs_, chunk_, size, heap.number << kClassBits | static_cast<std::uint32_t>(index));
    if (chunk.empty()) return false;
    pool.fresh = chunk.data();
    pool.end = pool.fresh + chunk.size();
    pool.blocks.store(pool.blocks.load(std::memory_order_relaxed) + chunk.size() / size, std::memory_order_relaxed);
    return true;
  }

  [[gnu::noinline]] void* allocate_large(std::size_t size, std::size_t alignment) noexcept {
    const std::scoped_lock lock(pages_mutex_);
    return large_.allocate(size, alignment);
  }
  [[gnu::always_inline]] void deallocate_of_class(std::size_t index, std::uint32_t owner, void* block) noexcept {
    Heap* heap = heaps_.mine();
    if (heap != nullptr && (owner == heap->number || keeps_foreign_)) [[likely]] {
      Pool& pool = heap->pools[index];
      pool.free = new (block) Link{pool.free};
      pool.count(pool.frees);
      return;
    }
    give_back(heaps_.at(owner).pools[index], block);
  }
  [[gnu::noinline]] void deallocate_large(void* block) noexcept {
    const std::scoped_lock lock(pages_mutex_);
    large_.deallocate(block);
  }

  // Calls visit(block, heap, class, returned) for every block in a list. Fresh blocks are in no list.
  template <class Visit>
  void for_each_free(Visit visit) const {
    heaps_.for_each([&](const Heap& heap) {
      for (std::size_t index = 0; index < classes_.count(); ++index) {
        for (const Link* link = heap.pools[index].free; link != nullptr; link = link->next)
          visit(reinterpret_cast<const std::byte*>(link), heap, index, false);
        for (const Link* link = heap.pools[index].foreign.load(); link != nullptr; link = link->next)
          visit(reinterpret_cast<const std::byte*>(link), heap, index, true);
      }
    });
  }
  std::vector<const std::byte*> free_blocks() const {
    std::vector<const std::byte*> blocks;
    for_each_free([&](const std::byte* block, const Heap&, std::size_t, bool) { blocks.push_back(block); });
    std::ranges::sort(blocks);
    return blocks;
  }

  Region& region_;
  mutable std::mutex pages_mutex_;  // protects runs_ and large_
  PageRuns runs_;
  LargeBlocks large_{runs_};
  ClassTable classes_;
  std::size_t chunk_;
  bool keeps_foreign_;
  PerThread<Heap, ThreadHeaps> heaps_{*this};
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::ThreadHeaps);
