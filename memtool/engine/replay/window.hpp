// The part of an image that is in memory, of one that lies on a disk: a replay goes through it window by window.
//
// No page of the image is faulted in while something is timed, and never is more of it resident than a window: it takes
// no memory from what is measured. What of the file the kernel keeps besides, it gives up first.
#pragma once

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/instruments/clock.hpp"

namespace memtool {

class ImageWindow {
 public:
  // What bringing windows in has taken: to be taken off what was measured around it.
  struct Cost {
    std::uint64_t ticks = 0;
    std::uint64_t cpu_ns = 0;
    std::uint64_t minor_faults = 0;
    std::uint64_t major_faults = 0;
  };

  // `bytes`: of a window; 0: the whole image is in memory.
  ImageWindow(const void* image, std::uint64_t image_bytes, std::uint64_t bytes, Clock clock) noexcept
      : base_(reinterpret_cast<std::uintptr_t>(image)), image_end_(base_ + image_bytes), bytes_(bytes), clock_(clock) {}

  [[nodiscard]] bool is_whole() const noexcept { return bytes_ == 0; }

  // Brings in the words from `at` on, if they are not there, and returns up to where an event may begin.
  const std::uint64_t* show(const std::uint64_t* at) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    if (end_ == 0 || address < begin_ || address >= last()) move_to(address);
    return reinterpret_cast<const std::uint64_t*>(last());
  }

  [[nodiscard]] const Cost& cost() const noexcept { return cost_; }

 private:
  static constexpr std::uintptr_t kLongest = 32;     // bytes of an event
  static constexpr std::uintptr_t kUnit = 64 << 10;  // what the kernel maps around a page that it faults in
  static constexpr int kPopulateRead = 22;           // MADV_POPULATE_READ, Linux 5.14; absent from older headers

  // Up to where an event may begin that lies whole in the window.
  [[nodiscard]] std::uintptr_t last() const noexcept { return end_ == image_end_ ? end_ : end_ - kLongest; }

  // All windows are of one size, so that as much of the image is resident throughout.
  void move_to(std::uintptr_t address) noexcept {
    rusage before;
    getrusage(RUSAGE_THREAD, &before);
    const std::uint64_t cpu = Clock::thread_cpu_nanoseconds();
    const std::uint64_t start = clock_.start();
    if (end_ > begin_) madvise(reinterpret_cast<void*>(begin_), end_ - begin_, MADV_DONTNEED);
    begin_ = std::max(base_, address & ~(kUnit - 1));
    end_ = std::min(image_end_, begin_ + bytes_);
    begin_ = std::max(base_, std::min(begin_, (image_end_ - std::min(bytes_, image_end_ - base_)) & ~(kUnit - 1)));
    if (madvise(reinterpret_cast<void*>(begin_), end_ - begin_, kPopulateRead) != 0)
      for (std::uintptr_t page = begin_; page < end_; page += 4096) (void)*reinterpret_cast<volatile char*>(page);
    cost_.ticks += clock_.stop() - start;
    cost_.cpu_ns += Clock::thread_cpu_nanoseconds() - cpu;
    rusage after;
    getrusage(RUSAGE_THREAD, &after);
    cost_.minor_faults += static_cast<std::uint64_t>(after.ru_minflt - before.ru_minflt);
    cost_.major_faults += static_cast<std::uint64_t>(after.ru_majflt - before.ru_majflt);
  }

  std::uintptr_t base_;
  std::uintptr_t image_end_;
  std::uintptr_t bytes_;
  Clock clock_;
  std::uintptr_t begin_ = 0;
  std::uintptr_t end_ = 0;
  Cost cost_;
};

}  // namespace memtool
