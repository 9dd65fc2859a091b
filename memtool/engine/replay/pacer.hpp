// Replays at the recorded pace: a paced image tells now and then when the next events took place.
#pragma once

#include <time.h>

#include <algorithm>
#include <cstdint>

#include "engine/instruments/clock.hpp"

namespace memtool {

class Pacer {
 public:
  // `ticks_per_us`: 0 disables waiting.
  Pacer(Clock clock, double ticks_per_us) noexcept : clock_(clock), ticks_per_us_(ticks_per_us) {}

  // Times count from here.
  void begin(std::uint64_t now) noexcept { origin_ = now; }

  // Whether wait() would wait.
  [[nodiscard]] bool is_early(std::uint64_t microseconds) const noexcept {
    return ticks_per_us_ != 0 && clock_.stop() < due(microseconds);
  }

  // Waits until the given number of microseconds after begin(). Sleeping leaves the processor to the background work of
  // an allocator.
  [[gnu::noinline]] void wait(std::uint64_t microseconds) noexcept {
    if (ticks_per_us_ == 0) return;
    const std::uint64_t due = this->due(microseconds);
    const std::uint64_t start = clock_.stop();
    if (start >= due) {
      late_ = std::max(late_, start - due);
      return;
    }
    const std::uint64_t cpu = Clock::thread_cpu_nanoseconds();
    for (std::uint64_t now = start; now < due; now = clock_.start()) {
      const double left = static_cast<double>(due - now) / ticks_per_us_;
      if (left > kSpinMicroseconds) sleep(left - kSpinMicroseconds);
    }
    waited_cpu_ns_ += Clock::thread_cpu_nanoseconds() - cpu;
    waited_ += clock_.start() - start;
  }

  // Ticks and processor time spent waiting, and the largest delay in ticks.
  [[nodiscard]] std::uint64_t waited() const noexcept { return waited_; }
  [[nodiscard]] std::uint64_t waited_cpu_ns() const noexcept { return waited_cpu_ns_; }
  [[nodiscard]] std::uint64_t late() const noexcept { return late_; }

 private:
  static constexpr double kSpinMicroseconds = 80;  // by which a sleep may exceed its length

  [[nodiscard]] std::uint64_t due(std::uint64_t microseconds) const noexcept {
    return origin_ + static_cast<std::uint64_t>(static_cast<double>(microseconds) * ticks_per_us_);
  }

  static void sleep(double microseconds) noexcept {
    const auto nanoseconds = static_cast<std::uint64_t>(microseconds * 1000);
    const timespec length{.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000),
                          .tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000)};
    nanosleep(&length, nullptr);
  }

  Clock clock_;
  double ticks_per_us_;
  std::uint64_t origin_ = 0;
  std::uint64_t waited_ = 0;
  std::uint64_t waited_cpu_ns_ = 0;
  std::uint64_t late_ = 0;
};

}  // namespace memtool
