// A pool of one block size for each thread, and a common pool with which the threads exchange whole batches.
//
// Free blocks are linked through themselves. A thread keeps two lists of at most `batch` blocks. When both are empty it
// takes a batch from the common pool; when both are full it returns one. So a batch costs one lock, nobody walks its
// links, and a thread that only frees never keeps more than two batches.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/equal_blocks.hpp"
#include "allocators/support/per_thread.hpp"

namespace memtool {

class ThreadPool {
 public:
  static constexpr std::array<ParameterInfo, 3> kParameters{{
      {.name = "block", .summary = "bytes of every block", .default_value = 64, .minimum = 1, .maximum = 1 << 20},
      {.name = "batch",
       .summary = "number of blocks that a thread takes or returns at a time",
       .default_value = 64,
       .minimum = 1,
       .maximum = 1 << 16,
       .unit = "count"},
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "thread-pool",
      .family = "thread",
      .summary = "Blocks of one size: a free list in each thread, and batches between the threads and a common pool.",
      .source =
          "Kenwright, \"Fast efficient fixed-size memory pool\", 2012, for each thread; batches as in Ghemawat and "
          "Menage, \"TCMalloc\", 2007",
      .complexity = "allocate O(1), deallocate O(1); one lock for each batch of blocks",
      .when = "objects of one size that many threads allocate and free",
      .parameters = kParameters,
      .thread_safe = true,
  };

  ThreadPool(Region& region, const Parameters& parameters)
      : region_(region),
        block_(stride(parameters)),
        chunk_(equal_blocks::chunk(parameters, block_)),
        batch_(parameters["batch"]) {}

  static Limits limits(const Parameters& parameters) { return equal_blocks::limits(parameters, stride(parameters)); }

  void* allocate(std::size_t, std::size_t) noexcept {
    State* state = threads_.mine();
    if (state == nullptr) [[unlikely]]
      return nullptr;
    List& list = state->lists[0];
    if (list.count() == 0 && !refill(*state)) [[unlikely]]
      return nullptr;
    return list.pop();
  }

  void deallocate(void* block, std::size_t, std::size_t) noexcept {
    State* state = threads_.mine();
    if (state == nullptr) [[unlikely]]
      return put_one(block);
    if (state->lists[0].count() == batch_) [[unlikely]]
      make_room(*state);
    state->lists[0].push(block);
  }

  void deallocate(void* block) noexcept { deallocate(block, 0, kDefaultAlignment); }

  std::size_t usable_size(const void*, std::size_t) const noexcept { return block_; }

  HeapStats stats() const noexcept {
    std::size_t free_blocks = 0;
    threads_.for_each([&](const State& state) { free_blocks += state.lists[0].count() + state.lists[1].count(); });
    const std::size_t apart = threads_.bytes();
    const std::scoped_lock lock(mutex_);
    free_blocks += common_blocks_ + static_cast<std::size_t>(end_ - fresh_) / block_;
    const std::size_t blocks = region_.used() / block_;
    free_blocks = std::min(free_blocks, blocks);
    return {.granted = (blocks - free_blocks) * block_,
            .free_bytes = free_blocks * block_,
            .free_blocks = free_blocks,
            .used_blocks = blocks - free_blocks,
            .metadata_bytes = apart,
            .metadata_apart_bytes = apart};
  }

  void walk(const BlockVisitor& visit) const {
    const std::vector<bool> free = free_map();
    for (std::byte* block = region_.base(); block < end_; block += block_) {
      const bool is_free = block >= fresh_ || free[index_of(block)];
      visit(block, block_, is_free ? BlockState::free : BlockState::used);
    }
  }

  void check() const {
    const std::vector<bool> free = free_map();
    std::size_t counted = common_blocks_;
    threads_.for_each([&](const State& state) {
      for (const List& list : state.lists) {
        require(list.count() <= batch_, "a thread has more than two batches");
        counted += list.count();
      }
    });
    require(counted == static_cast<std::size_t>(std::ranges::count(free, true)),
            "the lists count more or fewer blocks than they hold");
    require(fresh_ <= end_ && end_ == region_.base() + region_.used(), "the pool does not end where its region does");
  }

 private:
  // In the common pool, the first block of a batch also links to the next batch.
  struct Link {
    Link* next;
    Link* next_batch;
  };

  class List {
   public:
    [[nodiscard, gnu::always_inline]] std::size_t count() const noexcept {
      return count_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] Link* top() const noexcept { return top_; }
    [[gnu::always_inline]] void push(void* block) noexcept {
      auto* link = static_cast<Link*>(block);
      link->next = top_;
      top_ = link;
      count_.store(count() + 1, std::memory_order_relaxed);
    }
    [[nodiscard, gnu::always_inline]] void* pop() noexcept {
      Link* block = top_;
      top_ = block->next;
      count_.store(count() - 1, std::memory_order_relaxed);
      return block;
    }
    void set(Link* top, std::size_t count) noexcept {
      top_ = top;
      count_.store(count, std::memory_order_relaxed);
    }

   private:
    Link* top_ = nullptr;
    std::atomic<std::size_t> count_ = 0;
  };
  struct State {
    explicit State(std::size_t) noexcept {}
    std::array<List, 2> lists;  // the first is in use; the second is full or empty
  };

  friend class PerThread<State, ThreadPool>;
  void thread_ends(State& state) noexcept {
    const std::scoped_lock lock(mutex_);
    for (List& list : state.lists) {
      while (list.count() > 0) {
        auto* block = static_cast<Link*>(list.pop());
        block->next = odd_;
        odd_ = block;
        ++common_blocks_;
      }
    }
  }

  // A block takes at least 16 bytes, the size of two links. Larger blocks lie side by side, rounded up only to the
  // alignment of the links.
  static std::size_t stride(const Parameters& parameters) {
    return bits::round_up(std::max<std::size_t>(parameters["block"], sizeof(Link)), alignof(Link));
  }

  static void exchange(State& state) noexcept {
    Link* top = state.lists[0].top();
    const std::size_t count = state.lists[0].count();
    state.lists[0].set(state.lists[1].top(), state.lists[1].count());
    state.lists[1].set(top, count);
  }

  // Refills the list in use, which is empty. Returns false if memory is exhausted.
  [[gnu::noinline]] bool refill(State& state) noexcept {
    if (state.lists[1].count() > 0) {
      exchange(state);
      return true;
    }
    const std::scoped_lock lock(mutex_);
    if (batches_ != nullptr) {
      Link* batch = batches_;
      batches_ = batch->next_batch;
      common_blocks_ -= batch_;
      state.lists[0].set(batch, batch_);
      return true;
    }
    for (std::size_t i = 0; i < batch_ && odd_ != nullptr; ++i) {
      Link* block = odd_;
      odd_ = block->next;
      --common_blocks_;
      state.lists[0].push(block);
    }
    return state.lists[0].count() > 0 || carve(state.lists[0]);
  }

  [[gnu::noinline]] void make_room(State& state) noexcept {
    if (state.lists[1].count() > 0) {
      const std::scoped_lock lock(mutex_);
      Link* batch = state.lists[1].top();
      batch->next_batch = batches_;
      batches_ = batch;
      common_blocks_ += batch_;
      state.lists[1].set(nullptr, 0);
    }
    exchange(state);
  }

  void put_one(void* block) noexcept {
    const std::scoped_lock lock(mutex_);
    auto* link = static_cast<Link*>(block);
    link->next = odd_;
    odd_ = link;
    ++common_blocks_;
  }

  // Carves a batch of fresh blocks, the lowest on top, or fewer at the end of the region.
  bool carve(List& list) noexcept {
    if (fresh_ == end_) {
      const std::size_t left = (region_.capacity() - region_.used()) / block_ * block_;
      const std::size_t bytes = std::min(chunk_, left);
      if (bytes == 0 || region_.grow(bytes) == nullptr) return false;
      end_ = fresh_ + bytes;
    }
    const std::size_t count = std::min(batch_, static_cast<std::size_t>(end_ - fresh_) / block_);
    for (std::size_t i = count; i-- > 0;) list.push(fresh_ + i * block_);
    fresh_ += count * block_;
    return true;
  }

  std::size_t index_of(const void* block) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(block) - region_.base()) / block_;
  }

  // Returns which of the blocks handed out so far are in a list, and verifies the lists on the way.
  std::vector<bool> free_map() const {
    std::vector<bool> free(index_of(fresh_));
    const auto enter = [&](const Link* link) {
      const auto* block = reinterpret_cast<const std::byte*>(link);
      require(block >= region_.base() && block < fresh_, "a list leaves the pool");
      const std::size_t index = index_of(block);
      require(region_.base() + index * block_ == block, "a list points into a block");
      require(!free[index], "a block is in the lists twice");
      free[index] = true;
    };
    const auto enter_all = [&](const Link* link, std::size_t count) {
      for (; count > 0; --count, link = link->next) enter(link);
    };
    threads_.for_each([&](const State& state) {
      for (const List& list : state.lists) enter_all(list.top(), list.count());
    });
    for (const Link* batch = batches_; batch != nullptr; batch = batch->next_batch) enter_all(batch, batch_);
    for (const Link* link = odd_; link != nullptr; link = link->next) enter(link);
    return free;
  }

  Region& region_;
  std::size_t block_;
  std::size_t chunk_;
  std::size_t batch_;
  mutable std::mutex mutex_;  // protects the members below
  Link* batches_ = nullptr;   // full batches of batch_ blocks
  Link* odd_ = nullptr;       // blocks from threads that have ended
  std::size_t common_blocks_ = 0;
  std::byte* fresh_ = region_.base();  // start of the blocks that were never allocated
  std::byte* end_ = region_.base();
  PerThread<State, ThreadPool> threads_{*this};
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::ThreadPool);
