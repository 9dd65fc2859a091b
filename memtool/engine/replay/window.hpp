// The part of an image on a disk that is in memory. A replay goes through the image window by window.
//
// No page of the image is faulted in while something is timed, and no more than one window is resident, so the image
// takes no memory from what is measured. If the kernel caches more of the file, that part is the first to be dropped.
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
  // The cost of reading windows, to be subtracted from the measurements around it.
  struct Cost {
    std::uint64_t ticks = 0;
    std::uint64_t cpu_ns = 0;
    std::uint64_t minor_faults = 0;
    std::uint64_t major_faults = 0;
  };

  // `bytes`: size of a window; 0: the whole image is in memory.
  ImageWindow(const void* image, std::uint64_t image_bytes, std::uint64_t bytes, Clock clock) noexcept
      : base_(reinterpret_cast<std::uintptr_t>(image)), image_end_(base_ + image_bytes), bytes_(bytes), clock_(clock) {}

  [[nodiscard]] bool is_whole() const noexcept { return bytes_ == 0; }

  // Reads the words from `at` on if they are not in memory, and returns up to where an event may begin.
  const std::uint64_t* show(const std::uint64_t* at) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    if (end_ == 0 || address < begin_ || address >= last()) move_to(address);
    return reinterpret_cast<const std::uint64_t*>(last());
  }

  [[nodiscard]] const Cost& cost() const noexcept { return cost_; }

 private:
  static constexpr std::uintptr_t kLongest = 32;     // size of the longest event in bytes
  static constexpr std::uintptr_t kUnit = 64 << 10;  // the amount that the kernel maps around a page that it faults in
  static constexpr int kPopulateRead = 22;           // MADV_POPULATE_READ, Linux 5.14; absent from older headers

  // Up to where an event may begin so that it lies completely in the window.
  [[nodiscard]] std::uintptr_t last() const noexcept { return end_ == image_end_ ? end_ : end_ - kLongest; }

  // All windows have the same size, so that the resident part of the image stays constant.
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
