// Tracks which threads are inside the heap, so that a process forks only while none is.
//
// Whatever locks a heap has, and whatever it was about to write: a child that is forked while no thread is inside finds
// the heap consistent. Entering and leaving cost a thread two stores to its own memory. The forking thread pays for
// ordering them with its own accesses (membarrier).
#pragma once

#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <new>

#include "preload/books.hpp"

namespace memtool {

class Presence {
 public:
  // The place of one thread. It is never freed, but passed on to the next new thread.
  struct Place {
    std::atomic<bool> is_inside = false;
    std::atomic<bool> is_taken = true;
    Place* next = nullptr;
  };

  constexpr Presence() noexcept = default;

  // Returns nullptr if memory is exhausted.
  Place* take(Books& books) noexcept {
    const Locked locked(lock_);
    for (Place* place = first_; place != nullptr; place = place->next) {
      if (!place->is_taken.load(std::memory_order_acquire)) {
        place->is_taken.store(true, std::memory_order_relaxed);
        return place;
      }
    }
    void* memory = books.allocate(sizeof(Place), alignof(Place));
    if (memory == nullptr) return nullptr;
    auto* place = new (memory) Place;
    place->next = first_;
    first_ = place;
    return place;
  }

  [[gnu::always_inline]] void enter(Place& place) noexcept {
    place.is_inside.store(true, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    if (is_forking_.load(std::memory_order_relaxed)) [[unlikely]]
      wait(place);
  }
  [[gnu::always_inline]] static void leave(Place& place) noexcept {
    place.is_inside.store(false, std::memory_order_release);
  }

  // Called before a fork. When it returns, no other thread is inside, and none can enter. `own`: the place of the
  // calling thread, or null.
  void stop_others(const Place* own) noexcept {
    forking_.lock();
    forker_ = own;
    is_forking_.store(true, std::memory_order_seq_cst);
    barrier();
    lock_.lock();
    for (Place* place = first_; place != nullptr; place = place->next) {
      while (place != own && place->is_inside.load(std::memory_order_acquire)) sched_yield();
    }
  }
  // Called after the fork, in the parent.
  void go_on() noexcept {
    lock_.unlock();
    is_forking_.store(false, std::memory_order_release);
    forking_.unlock();
  }
  // Called in the child, where the other threads no longer exist.
  void go_on_alone(const Place* own) noexcept {
    for (Place* place = first_; place != nullptr; place = place->next) {
      if (place == own) continue;
      place->is_inside.store(false, std::memory_order_relaxed);
      place->is_taken.store(false, std::memory_order_relaxed);
    }
    go_on();
  }
  // Whether no other thread has a place.
  [[nodiscard]] bool is_alone(const Place* own) noexcept {
    const Locked locked(lock_);
    for (const Place* place = first_; place != nullptr; place = place->next)
      if (place != own && place->is_taken.load(std::memory_order_acquire)) return false;
    return true;
  }
  // Called before the first fork.
  static void prepare() noexcept { syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0); }

 private:
  [[gnu::noinline, gnu::cold]] void wait(Place& place) noexcept {
    while (is_forking_.load(std::memory_order_acquire) && forker_ != &place) {
      place.is_inside.store(false, std::memory_order_release);
      while (is_forking_.load(std::memory_order_acquire)) sched_yield();
      place.is_inside.store(true, std::memory_order_seq_cst);
    }
  }
  static void barrier() noexcept {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0)
      syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
  }

  std::atomic<bool> is_forking_ = false;
  const Place* forker_ = nullptr;
  SpinLock lock_;
  SpinLock forking_;
  Place* first_ = nullptr;
};

}  // namespace memtool
