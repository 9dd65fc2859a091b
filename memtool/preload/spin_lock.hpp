// A lock that needs no memory and no constructor. It is held for a few instructions only.
#pragma once

#include <sched.h>

#include <atomic>

namespace memtool {

class SpinLock {
 public:
  constexpr SpinLock() noexcept = default;
  void lock() noexcept {
    while (is_held_.exchange(true, std::memory_order_acquire)) sched_yield();
  }
  void unlock() noexcept { is_held_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> is_held_ = false;
};

class Locked {
 public:
  explicit Locked(SpinLock& lock) noexcept : lock_(lock) { lock_.lock(); }
  ~Locked() { lock_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  SpinLock& lock_;
};

}  // namespace memtool
