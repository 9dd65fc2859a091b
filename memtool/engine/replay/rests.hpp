// Measures idle time: in a paced parallel replay, the time during which no lane works does not count.
#pragma once

#include <cstdint>
#include <mutex>

#include "engine/instruments/clock.hpp"

namespace memtool {

class Rests {
 public:
  explicit Rests(Clock clock) noexcept : clock_(clock) {}

  // A lane begins or continues. If all lanes were resting, the rest ends.
  [[gnu::noinline]] void work() noexcept {
    const std::lock_guard lock(mutex_);
    if (at_work_++ == 0 && since_ != 0) ticks_ += clock_.start() - since_;
  }
  // A lane waits, for its time or for another lane, or has ended.
  [[gnu::noinline]] void rest() noexcept {
    const std::lock_guard lock(mutex_);
    if (--at_work_ == 0) since_ = clock_.stop();
  }
  // Discards the rests so far.
  void forget() noexcept {
    const std::lock_guard lock(mutex_);
    ticks_ = since_ = 0;
  }
  // Ticks during which all lanes rested before one continued.
  [[nodiscard]] std::uint64_t ticks() const noexcept { return ticks_; }

 private:
  Clock clock_;
  std::mutex mutex_;
  std::uint64_t at_work_ = 0;
  std::uint64_t since_ = 0;  // 0: not yet
  std::uint64_t ticks_ = 0;
};

}  // namespace memtool
