// A shared heap: the persistent heap under a lock in the same region, for several processes and threads at once. If a
// process dies while it holds the lock, the next one to take the lock recovers the heap.
#pragma once

#include <pthread.h>

#include <cerrno>
#include <string>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/persistent/offset_heap.hpp"

namespace memtool {

class SharedHeap {
 public:
  static constexpr StrategyInfo info{
      .name = "shared-heap",
      .family = "persistent",
      .summary = "The persistent heap under a robust lock in the region: several processes and threads can use it.",
      .source = "POSIX.1-2017, pthread_mutexattr_setrobust; the heap is that of persistent",
      .complexity = "as persistent, and two atomic operations for a lock without contention",
      .when = "processes that pass blocks to each other and have to survive each other's crashes",
      .thread_safe = true,
  };
  static Limits limits(const Parameters&) { return {.largest_alignment = persistent::kLargestAlignment}; }

  SharedHeap(Region& region, const Parameters&) : heap_(region, true) {}
  // Joins a heap that another process has created.
  explicit SharedHeap(Region& region) : heap_(region, persistent::OffsetHeap<>::Joined{}) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const Held held(*this);
    return held ? heap_.allocate(size, alignment) : nullptr;
  }
  void deallocate(void* block) noexcept {
    if (const Held held(*this); held) heap_.deallocate(block);
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept { deallocate(block); }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t) const noexcept {
    return heap_.usable_size(block);
  }
  [[nodiscard]] HeapStats stats() const noexcept {
    const Held held(*this);
    return held ? heap_.stats() : HeapStats{};
  }
  void walk(const BlockVisitor& visit) const { heap_.walk(visit); }
  void check() const {
    require(damage_.empty(), damage_.c_str());
    heap_.check();
  }
  // The heap, for the parts that a program uses directly under hold(): slots and the root.
  [[nodiscard]] persistent::OffsetHeap<>& heap() noexcept { return heap_; }
  // How often a process found that the holder of the lock had died, and recovered the heap.
  [[nodiscard]] std::uint64_t recoveries() const noexcept { return recoveries_; }

  class Held {
   public:
    explicit Held(const SharedHeap& shared) noexcept : shared_(const_cast<SharedHeap&>(shared)), is_held_(take()) {}
    ~Held() {
      if (is_held_) pthread_mutex_unlock(&shared_.heap_.lock());
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    explicit operator bool() const noexcept { return is_held_; }

   private:
    bool take() noexcept {
      if (!shared_.heap_.is_there()) return false;
      pthread_mutex_t& lock = shared_.heap_.lock();
      const int problem = pthread_mutex_lock(&lock);
      if (problem == EOWNERDEAD) {
        if (!shared_.recover()) {
          pthread_mutex_unlock(&lock);  // nobody can take the lock again, so a damaged heap stays unchanged
          return false;
        }
        pthread_mutex_consistent(&lock);
      } else if (problem != 0) {
        return false;
      }
      shared_.heap_.follow();
      return true;
    }
    SharedHeap& shared_;
    bool is_held_;
  };

 private:
  bool recover() noexcept {
    try {
      heap_.recover();
      ++recoveries_;
      return true;
    } catch (const std::exception& problem) {
      damage_ = problem.what();
      return false;
    }
  }

  persistent::OffsetHeap<> heap_;
  std::string damage_;
  std::uint64_t recoveries_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::SharedHeap);
