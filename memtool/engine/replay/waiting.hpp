// The processors on which the threads of a replay run, and how the threads wait for each other.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace memtool {

// The processors on which lanes run: each lane has its own as long as there are enough.
class Processors {
 public:
  // 0: the kernel places the lanes.
  explicit Processors(std::uint32_t count) {
    cpu_set_t allowed;
    if (count == 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    for (int number = 0; number < CPU_SETSIZE && numbers_.size() < count; ++number)
      if (CPU_ISSET(number, &allowed)) numbers_.push_back(number);
    taken_ = std::vector<std::atomic<std::uint32_t>>(numbers_.size());
  }
  static constexpr std::size_t kNone = ~std::size_t{0};

  // Returns the processor with the fewest lanes, for a thread that is yet to be created; kNone if lanes are not pinned.
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

// Waits first without a system call, because the other thread is usually only a few hundred nanoseconds away. Then it
// yields the processor, which the other thread may need. Then it sleeps.
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
