// The clock of the timed passes: the time stamp counter if the kernel itself trusts it, otherwise clock_gettime.
#pragma once

#include <time.h>

#include <cstdint>

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace memtool {

class Clock {
 public:
  explicit Clock(bool counter) noexcept : counter_(counter) {}

  // start() keeps earlier instructions out of the timed section; stop() waits for the instructions inside it. Ticks are
  // those of the counter, or nanoseconds; the parent knows their length (calibrate below).
  [[nodiscard, gnu::always_inline]] std::uint64_t start() const noexcept {
#if defined(__x86_64__)
    if (counter_) [[likely]] {
      _mm_lfence();
      return __rdtsc();
    }
#elif defined(__aarch64__)
    if (counter_) [[likely]]
      return read_cntvct();
#endif
    return system_nanoseconds();
  }
  [[nodiscard, gnu::always_inline]] std::uint64_t stop() const noexcept {
    const std::uint64_t ticks = lap();
#if defined(__x86_64__)
    if (counter_) [[likely]]
      _mm_lfence();
#endif
    return ticks;
  }
  // Waits for the instructions inside the section, but does not keep later ones out: they depend on the reading, begin
  // the next section, or wait for a start().
  [[nodiscard, gnu::always_inline]] std::uint64_t lap() const noexcept {
#if defined(__x86_64__)
    if (counter_) [[likely]] {
      unsigned processor;
      return __rdtscp(&processor);
    }
#elif defined(__aarch64__)
    if (counter_) [[likely]]
      return read_cntvct();
#endif
    return system_nanoseconds();
  }

  static std::uint64_t system_nanoseconds() noexcept { return nanoseconds(CLOCK_MONOTONIC_RAW); }
  // CPU time of all threads of the process, including any that an allocator has started, and of the calling thread.
  static std::uint64_t process_cpu_nanoseconds() noexcept { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }
  static std::uint64_t thread_cpu_nanoseconds() noexcept { return nanoseconds(CLOCK_THREAD_CPUTIME_ID); }

 private:
  static std::uint64_t nanoseconds(clockid_t clock) noexcept {
    timespec now;
    clock_gettime(clock, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
  }
#if defined(__aarch64__)
  static std::uint64_t read_cntvct() noexcept {
    std::uint64_t ticks;
    asm volatile("isb; mrs %0, cntvct_el0; isb" : "=r"(ticks)::"memory");
    return ticks;
  }
#endif
  bool counter_;
};

}  // namespace memtool
