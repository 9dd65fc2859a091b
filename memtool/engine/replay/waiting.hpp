// On which processors the threads of a replay run, and how they wait for each other.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace memtool {

// On which processors lanes run: each on one of its own as long as there are as many.
class Processors {
 public:
  // 0: lanes run where the kernel puts them.
  explicit Processors(std::uint32_t count) {
    cpu_set_t allowed;
    if (count == 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    for (int number = 0; number < CPU_SETSIZE && numbers_.size() < count; ++number)
      if (CPU_ISSET(number, &allowed)) numbers_.push_back(number);
    taken_ = std::vector<std::atomic<std::uint32_t>>(numbers_.size());
  }
  static constexpr std::size_t kNone = ~std::size_t{0};

  // The one with the fewest lanes; kNone where lanes are not pinned. For a thread that is yet to be made.
  [[nodiscard]] std::size_t take() noexcept {
    if (numbers_.empty()) return kNone;
    std::size_t best = 0;
    for (std::size_t i = 1; i < taken_.size(); ++i)
      if (taken_[i].load() < taken_[best].load()) best = i;
    ++taken_[best];
    return best;
  }
  void give_back(std::size_t place) noexcept {
    if (place != kNone) --taken_[place];
  }
  void pin(pthread_attr_t& attributes, std::size_t place) const noexcept {
    if (place == kNone) return;
    cpu_set_t processor;
    CPU_ZERO(&processor);
    CPU_SET(numbers_[place], &processor);
    pthread_attr_setaffinity_np(&attributes, sizeof processor, &processor);
  }

 private:
  std::vector<int> numbers_;
  std::vector<std::atomic<std::uint32_t>> taken_;
};

// Waiting without a system call at first, for the other thread is usually a few hundred nanoseconds away; then giving
// the processor up, which it may need; then sleeping, for nothing seems to come.
class Patience {
 public:
  explicit Patience(bool own_processor) noexcept : spins_(own_processor ? 2000 : 50) {}
  [[nodiscard]] bool spins() const noexcept { return rounds_ + 1 < spins_; }
  [[nodiscard]] std::uint32_t rounds() const noexcept { return rounds_; }
  void wait() noexcept {
    ++rounds_;
    if (rounds_ < spins_) {
      pause();
    } else if (rounds_ < spins_ + 20'000) {
      sched_yield();
    } else {
      const timespec nap{.tv_sec = 0, .tv_nsec = 50'000};
      nanosleep(&nap, nullptr);
    }
  }

 private:
  static void pause() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  std::uint32_t spins_;
  std::uint32_t rounds_ = 0;
};

}  // namespace memtool
