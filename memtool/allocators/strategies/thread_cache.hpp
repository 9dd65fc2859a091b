// Thread caches over a central store: magazines.
//
// Each thread has two magazines of blocks for each size class. A magazine is an array of pointers, so a block is not
// touched between its free and its next use. This matters most if another core uses it next. When both magazines are
// empty, the thread exchanges one for a full one at the depot; when both are full, for an empty one. So one lock serves
// a whole magazine of blocks, and a thread never holds more than two magazines of idle blocks for a class. When a
// thread ends, its blocks go to the depot.
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
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/free_list.hpp"
#include "allocators/support/per_thread.hpp"

namespace memtool {

class ThreadCache {
 public:
  static constexpr std::size_t kMostRounds = 62;
  static constexpr std::array<ParameterInfo, 4> kParameters{{
      {.name = "rounds",
       .summary = "largest number of blocks in a magazine",
       .default_value = kMostRounds,
       .minimum = 1,
       .maximum = kMostRounds,
       .unit = "count"},
      {.name = "cached",
       .summary = "largest number of bytes in a magazine, which holds at least one block",
       .default_value = 16 * 1024,
       .minimum = 16,
       .maximum = 1 << 24},
      kLargestClass,
      kClassChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "thread-cache",
      .family = "thread",
      .summary = "Two magazines for each size class in each thread, exchanged whole at a central depot.",
      .source = "Bonwick and Adams, \"Magazines and vmem\", USENIX 2001",
      .complexity = "allocate O(1), deallocate O(1); one lock for each magazine of blocks",
      .when = "many threads, and objects that one thread allocates and another frees",
      .parameters = kParameters,
      .thread_safe = true,
  };

  ThreadCache(Region& region, const Parameters& parameters)
      : region_(region),
        runs_(region),
        classes_(2, parameters["largest"]),
        chunk_(bits::round_up(parameters["chunk"], PageRuns::kPage)) {
    for (std::size_t index = 0; index < classes_.count(); ++index)
      capacity_[index] = static_cast<std::uint32_t>(
          std::clamp<std::uint64_t>(parameters["cached"] / classes_.size(index), 1, parameters["rounds"]));
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return allocate_large(size, alignment);
    State* state = threads_.mine();
    if (state == nullptr) [[unlikely]]
      return nullptr;
    Cached& cached = state->classes[index];
    Magazine* loaded = cached.loaded.load(std::memory_order_relaxed);
    if (loaded != nullptr) [[likely]] {
      void* block = loaded->pop();
      if (block != nullptr) [[likely]]
        return block;
    }
    return allocate_slowly(cached, index);
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = classes_.index(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return deallocate_large(block);
    deallocate_of_class(index, block);
  }
  // The page in which a block lies records its class.
  void deallocate(void* block) noexcept {
    const std::uint32_t index = runs_.tag(block);
    if (index == PageRuns::kNoTag) [[unlikely]]
      return deallocate_large(block);
    deallocate_of_class(index, block);
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::uint32_t index = runs_.tag(block);
    return index == PageRuns::kNoTag ? runs_.run_bytes(block) : classes_.size(index);
  }

  HeapStats stats() const noexcept {
    const std::array<std::size_t, SizeClasses::kMost> cached = cached_blocks();
    const std::size_t apart = threads_.bytes();
    HeapStats stats;
    {
      const std::scoped_lock lock(pages_mutex_);
      stats = class_chunks::stats_of_pages(runs_, large_, apart);
      stats.metadata_bytes += magazine_pages_ * PageRuns::kPage;
    }
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Depot& depot = depots_[index];
      const std::scoped_lock lock(depot.mutex);
      const std::size_t spare = std::min(depot.blocks, cached[index] + spare_blocks(index));
      class_chunks::add_class(stats, classes_.size(index), depot.blocks - spare, spare);
    }
    return stats;
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<const std::byte*> free = free_blocks();
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t tag = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (tag == PageRuns::kNoTag) return visit(address, bytes, is_free ? BlockState::free : BlockState::used);
      if (tag == kMagazines) return visit(address, bytes, BlockState::metadata);
      const Depot& depot = depots_[tag];
      class_chunks::walk(address, bytes, classes_.size(tag), depot.fresh, depot.end, free, visit);
    });
  }

  void check() const {
    runs_.check();
    std::array<std::size_t, SizeClasses::kMost> blocks{};
    std::size_t magazine_pages = 0;
    runs_.for_each([&](const std::byte* address, std::size_t bytes, bool is_free) {
      const std::uint32_t tag = is_free ? PageRuns::kNoTag : runs_.tag(address);
      if (tag == kMagazines) magazine_pages += bytes / PageRuns::kPage;
      if (tag != PageRuns::kNoTag && tag != kMagazines) blocks[tag] += bytes / classes_.size(tag);
    });
    require(magazine_pages == magazine_pages_, "the count of pages with magazines is wrong");
    for (std::size_t index = 0; index < classes_.count(); ++index)
      require(blocks[index] == depots_[index].blocks, "a class does not know how many blocks its chunks hold");
    threads_.for_each([&](const State& state) {
      for (std::size_t index = 0; index < classes_.count(); ++index)
        for (const Magazine* magazine : state.classes[index].both())
          require(magazine == nullptr || magazine->rounds() <= capacity_[index], "a magazine holds more than it may");
    });
    for_each_free([&](const std::byte* block, std::size_t index) {
      require(region_.contains(block, classes_.size(index)), "a magazine holds a block outside of the region");
      require(runs_.tag(block) == index, "a magazine holds a block of another class");
    });
    const std::vector<const std::byte*> free = free_blocks();
    require(std::ranges::adjacent_find(free) == free.end(), "a block is free twice");
  }

 private:
  static constexpr std::uint32_t kMagazines = PageRuns::kNoTag - 1;

  // Only the owning thread fills and empties a magazine; other threads may read how many blocks it holds. A magazine in
  // the depot belongs to the holder of the depot's lock.
  class Magazine {
   public:
    Magazine* next = nullptr;

    [[nodiscard]] std::uint32_t rounds() const noexcept { return rounds_.load(std::memory_order_relaxed); }
    // Returns nullptr if the magazine is empty.
    [[nodiscard, gnu::always_inline]] void* pop() noexcept {
      const std::uint32_t rounds = rounds_.load(std::memory_order_relaxed);
      if (rounds == 0) [[unlikely]]
        return nullptr;
      rounds_.store(rounds - 1, std::memory_order_relaxed);
      return blocks_[rounds - 1];
    }
    // Returns false if the magazine already holds `capacity` blocks.
    [[gnu::always_inline]] bool push(void* block, std::uint32_t capacity) noexcept {
      const std::uint32_t rounds = rounds_.load(std::memory_order_relaxed);
      if (rounds == capacity) [[unlikely]]
        return false;
      blocks_[rounds] = block;
      rounds_.store(rounds + 1, std::memory_order_relaxed);
      return true;
    }
    [[nodiscard]] void* block(std::uint32_t round) const noexcept { return blocks_[round]; }

   private:
    std::atomic<std::uint32_t> rounds_ = 0;
    std::array<void*, kMostRounds> blocks_{};
  };
  static_assert(sizeof(Magazine) == 512);

  struct Cached {
    std::atomic<Magazine*> loaded = nullptr;
    std::atomic<Magazine*> previous = nullptr;
    // For other threads. A magazine is published with release order, so a thread that finds it finds it constructed.
    [[nodiscard]] std::array<const Magazine*, 2> both() const noexcept {
      return {loaded.load(std::memory_order_acquire), previous.load(std::memory_order_acquire)};
    }
  };
  struct State {
    explicit State(std::size_t) noexcept {}
    std::array<Cached, SizeClasses::kMost> classes;
  };

  // The depot of one class, on its own cache lines.
  struct alignas(128) Depot {
    mutable std::mutex mutex;
    Magazine* full = nullptr;  // or partly full, from a thread that has ended
    Magazine* empty = nullptr;
    FreeList loose;              // blocks freed when there was no memory for a magazine
    std::byte* fresh = nullptr;  // start of the blocks that were never allocated, up to `end`
    std::byte* end = nullptr;
    std::size_t blocks = 0;  // in all chunks
  };

  friend class PerThread<State, ThreadCache>;
  void thread_ends(State& state) noexcept {
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      Depot& depot = depots_[index];
      const std::scoped_lock lock(depot.mutex);
      for (std::atomic<Magazine*>* held : {&state.classes[index].loaded, &state.classes[index].previous})
        if (Magazine* magazine = held->exchange(nullptr, std::memory_order_relaxed))
          put(magazine->rounds() > 0 ? depot.full : depot.empty, magazine);
    }
  }

  static void put(Magazine*& list, Magazine* magazine) noexcept {
    magazine->next = list;
    list = magazine;
  }
  static Magazine* take(Magazine*& list) noexcept {
    Magazine* magazine = list;
    if (magazine != nullptr) list = magazine->next;
    return magazine;
  }

  [[gnu::noinline]] void* allocate_slowly(Cached& cached, std::size_t index) noexcept {
    Magazine* loaded = cached.loaded.load(std::memory_order_relaxed);
    Magazine* previous = cached.previous.load(std::memory_order_relaxed);
    if (previous != nullptr && previous->rounds() > 0) {
      cached.loaded.store(previous, std::memory_order_release);
      cached.previous.store(loaded, std::memory_order_release);
      return previous->pop();
    }
    Depot& depot = depots_[index];
    const std::scoped_lock lock(depot.mutex);
    if (Magazine* full = take(depot.full)) {
      if (loaded != nullptr) put(depot.empty, loaded);
      cached.loaded.store(full, std::memory_order_release);
      return full->pop();
    }
    if (!depot.loose.empty()) return depot.loose.pop();
    if (loaded == nullptr) {
      loaded = empty_magazine(depot);
      cached.loaded.store(loaded, std::memory_order_release);
    }
    void* block = carve(depot, index);
    if (block != nullptr && loaded != nullptr) stock(*loaded, depot, index);
    return block;
  }

  [[gnu::noinline]] void deallocate_slowly(Cached& cached, std::size_t index, void* block) noexcept {
    Magazine* loaded = cached.loaded.load(std::memory_order_relaxed);
    Magazine* previous = cached.previous.load(std::memory_order_relaxed);
    Magazine* room = previous != nullptr && previous->rounds() == 0 ? previous : nullptr;
    if (room == nullptr) {
      Depot& depot = depots_[index];
      const std::scoped_lock lock(depot.mutex);
      room = empty_magazine(depot);
      if (room == nullptr) return depot.loose.push(block);
      if (previous != nullptr) put(depot.full, previous);
    }
    cached.previous.store(loaded, std::memory_order_release);
    cached.loaded.store(room, std::memory_order_release);
    room->push(block, capacity_[index]);
  }

  void keep_loose(std::size_t index, void* block) noexcept {
    const std::scoped_lock lock(depots_[index].mutex);
    depots_[index].loose.push(block);
  }

  // Fills an empty magazine with fresh blocks from the current chunk. The first of them is on top.
  void stock(Magazine& magazine, Depot& depot, std::size_t index) noexcept {
    const std::size_t size = classes_.size(index);
    const auto left = static_cast<std::size_t>(depot.end - depot.fresh) / size;
    const std::size_t count = std::min<std::size_t>(capacity_[index], left);
    for (std::size_t i = count; i-- > 0;) magazine.push(depot.fresh + i * size, capacity_[index]);
    depot.fresh += count * size;
  }

  void* carve(Depot& depot, std::size_t index) noexcept {
    if (depot.fresh == depot.end && !add_chunk(depot, index)) return nullptr;
    std::byte* block = depot.fresh;
    depot.fresh += classes_.size(index);
    return block;
  }

  bool add_chunk(Depot& depot, std::size_t index) noexcept {
    const std::size_t size = classes_.size(index);
    const std::scoped_lock lock(pages_mutex_);
    const auto chunk = class_chunks::take(runs_, chunk_, size, static_cast<std::uint32_t>(index));
    if (chunk.empty()) return false;
    depot.fresh = chunk.data();
    depot.end = depot.fresh + chunk.size();
    depot.blocks += chunk.size() / size;
    return true;
  }

  // Returns nullptr if memory is exhausted.
  Magazine* empty_magazine(Depot& depot) noexcept {
    if (Magazine* magazine = take(depot.empty)) return magazine;
    const std::scoped_lock lock(pages_mutex_);
    if (new_magazines_ == new_magazines_end_) {
      void* page = runs_.allocate(1, PageRuns::kPage);
      if (page == nullptr) return nullptr;
      runs_.set_tag(page, kMagazines);
      ++magazine_pages_;
      new_magazines_ = static_cast<std::byte*>(page);
      new_magazines_end_ = new_magazines_ + PageRuns::kPage;
    }
    void* place = new_magazines_;
    new_magazines_ += sizeof(Magazine);
    return new (place) Magazine;
  }

  [[gnu::noinline]] void* allocate_large(std::size_t size, std::size_t alignment) noexcept {
    const std::scoped_lock lock(pages_mutex_);
    return large_.allocate(size, alignment);
  }
  [[gnu::always_inline]] void deallocate_of_class(std::size_t index, void* block) noexcept {
    State* state = threads_.mine();
    if (state == nullptr) [[unlikely]]
      return keep_loose(index, block);
    Cached& cached = state->classes[index];
    Magazine* loaded = cached.loaded.load(std::memory_order_relaxed);
    if (loaded != nullptr && loaded->push(block, capacity_[index])) [[likely]]
      return;
    deallocate_slowly(cached, index, block);
  }

  [[gnu::noinline]] void deallocate_large(void* block) noexcept {
    const std::scoped_lock lock(pages_mutex_);
    large_.deallocate(block);
  }

  // Counts the blocks in the threads' magazines for each class.
  std::array<std::size_t, SizeClasses::kMost> cached_blocks() const noexcept {
    std::array<std::size_t, SizeClasses::kMost> blocks{};
    threads_.for_each([&](const State& state) {
      for (std::size_t index = 0; index < classes_.count(); ++index)
        for (const Magazine* magazine : state.classes[index].both())
          if (magazine != nullptr) blocks[index] += magazine->rounds();
    });
    return blocks;
  }
  // Counts the free blocks in the depot. The caller holds its lock.
  std::size_t spare_blocks(std::size_t index) const noexcept {
    const Depot& depot = depots_[index];
    std::size_t blocks = depot.loose.size() + static_cast<std::size_t>(depot.end - depot.fresh) / classes_.size(index);
    for (const Magazine* magazine = depot.full; magazine != nullptr; magazine = magazine->next)
      blocks += magazine->rounds();
    return blocks;
  }

  // Calls visit(block, class) for every block in a magazine or on the loose list, but not for fresh blocks.
  template <class Visit>
  void for_each_free(Visit visit) const {
    const auto visit_all = [&](const Magazine* magazine, std::size_t index) {
      for (std::uint32_t i = 0; magazine != nullptr && i < magazine->rounds(); ++i)
        visit(static_cast<const std::byte*>(magazine->block(i)), index);
    };
    threads_.for_each([&](const State& state) {
      for (std::size_t index = 0; index < classes_.count(); ++index)
        for (const Magazine* magazine : state.classes[index].both()) visit_all(magazine, index);
    });
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Depot& depot = depots_[index];
      const std::scoped_lock lock(depot.mutex);
      for (const Magazine* magazine = depot.full; magazine != nullptr; magazine = magazine->next)
        visit_all(magazine, index);
      for (const FreeList::Link* link = depot.loose.top(); link != nullptr; link = link->next)
        visit(reinterpret_cast<const std::byte*>(link), index);
    }
  }
  std::vector<const std::byte*> free_blocks() const {
    std::vector<const std::byte*> blocks;
    for_each_free([&](const std::byte* block, std::size_t) { blocks.push_back(block); });
    std::ranges::sort(blocks);
    return blocks;
  }

  Region& region_;
  mutable std::mutex pages_mutex_;  // acquired last; protects runs_, large_ and new magazines
  PageRuns runs_;
  LargeBlocks large_{runs_};
  ClassTable classes_;
  std::size_t chunk_;
  std::array<std::uint32_t, SizeClasses::kMost> capacity_{};
  std::array<Depot, SizeClasses::kMost> depots_;
  std::byte* new_magazines_ = nullptr;
  std::byte* new_magazines_end_ = nullptr;
  std::size_t magazine_pages_ = 0;
  PerThread<State, ThreadCache> threads_{*this};
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::ThreadCache);
