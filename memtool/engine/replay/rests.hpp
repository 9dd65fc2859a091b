// When nobody is at work: of a paced replay on threads side by side, the time that is no part of it.
#pragma once

#include <cstdint>
#include <mutex>

#include "engine/instruments/clock.hpp"

namespace memtool {

class Rests {
 public:
  explicit Rests(Clock clock) noexcept : clock_(clock) {}

  // A lane begins, or goes on. Where all rested, that is over.
  [[gnu::noinline]] void work() noexcept {
    const std::lock_guard lock(mutex_);
    if (at_work_++ == 0 && since_ != 0) ticks_ += clock_.start() - since_;
  }
  // A lane waits, for its time or for another, or has ended.
  [[gnu::noinline]] void rest() noexcept {
    const std::lock_guard lock(mutex_);
    if (--at_work_ == 0) since_ = clock_.stop();
  }
  // What was rested so far does not count.
  void forget() noexcept {
    const std::lock_guard lock(mutex_);
    ticks_ = since_ = 0;
  }
  // Ticks in which all lanes rested, and then one went on.
  [[nodiscard]] std::uint64_t ticks() const noexcept { return ticks_; }

 private:
  Clock clock_;
  std::mutex mutex_;
  std::uint64_t at_work_ = 0;
  std::uint64_t since_ = 0;  // 0: never yet
  std::uint64_t ticks_ = 0;
};

}  // namespace memtool
