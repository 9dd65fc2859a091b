// The resident memory of this process as the kernel accounts for it, read without an allocation.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/instruments/region_account.hpp"

namespace memtool {

// Counts anonymous memory, and the region if it is a shared mapping. Pages of other mapped files (the event image, the
// code of libraries) do not belong to the allocator.
class Resident {
 public:
  Resident(const void* region, std::uint64_t bytes, bool shared) noexcept
      : region_(region, bytes),
        shared_(shared),
        statm_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
        rollup_(open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)),
        status_(open("/proc/self/status", O_RDONLY | O_CLOEXEC)),
        forget_(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC)),
        page_(static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))) {}
  ~Resident() {
    for (const int descriptor : {statm_, rollup_, status_, forget_})
      if (descriptor >= 0) close(descriptor);
  }
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

  // Cheap (under a microsecond), but the kernel keeps these counters for each processor and may lag by some pages.
  [[nodiscard]] std::uint64_t approximate() const noexcept {
    char text[128];
    if (!read(statm_, text, sizeof text)) return 0;
    char* at = text;
    std::strtoull(at, &at, 10);  // size of the address space
    const std::uint64_t resident = std::strtoull(at, &at, 10);
    const std::uint64_t of_files = std::strtoull(at, &at, 10);
    // After the baseline, only pages of code can still be added from other files.
    return (shared_ ? resident : resident - of_files) * page_;
  }

  struct Exact {
    std::uint64_t bytes = 0;
    std::uint64_t huge = 0;
  };
  // Reads the page tables themselves, which takes about a millisecond.
  [[nodiscard]] Exact exact() const noexcept {
    char text[2048];
    if (!read(rollup_, text, sizeof text)) return {approximate(), 0};
    const std::uint64_t of_region = shared_ ? region_.read().resident_bytes : 0;
    return {kibibytes_of(text, "\nAnonymous:") * 1024 + of_region, kibibytes_of(text, "\nAnonHugePages:") * 1024};
  }

  // From here on the kernel records the maximum of resident memory, even within one call of the allocator.
  void begin_peak() noexcept {
    (void)status();  // faults in what the reading itself needs
    forgets_ = forget();
    before_ = status();
    last_peak_ = before_.peak;
  }

  // Returns the largest growth since begin_peak() or the last call. Takes about 7 microseconds. The kernel updates its
  // high-water mark when pages are freed, from counters that each processor updates in batches. So the result may be
  // too low by one batch: 32 pages, or two for each processor of the machine if that is more.
  [[nodiscard]] std::uint64_t take_peak() noexcept {
    const Status now = status();
    // If the kernel cannot reset the mark (a kernel without CONFIG_PROC_PAGE_MONITOR), only a new maximum counts as a
    // peak.
    const bool is_new = forgets_ || now.peak > last_peak_;
    last_peak_ = now.peak;
    if (forgets_) (void)forget();
    const std::uint64_t begin =
        before_.resident + (now.of_files > before_.of_files ? now.of_files - before_.of_files : 0);
    return is_new && now.peak > begin ? now.peak - begin : 0;
  }

  [[nodiscard]] RegionAccount of_region() const noexcept { return region_.read(); }

 private:
  struct Status {
    std::uint64_t peak = 0, resident = 0, of_files = 0;
  };
  [[nodiscard]] Status status() const noexcept {
    char text[4096];
    if (!read(status_, text, sizeof text)) return {};
    const auto bytes = [&](const char* key) { return kibibytes_of(text, key) * 1024; };
    // Resident pages of a region that is a shared mapping belong to the allocator.
    return {bytes("\nVmHWM:"), bytes("\nVmRSS:"), shared_ ? 0 : bytes("\nRssFile:") + bytes("\nRssShmem:")};
  }
  [[nodiscard]] bool forget() const noexcept { return forget_ >= 0 && pwrite(forget_, "5", 1, 0) == 1; }

  static bool read(int descriptor, char* text, std::size_t bytes) noexcept {
    const ssize_t got = descriptor < 0 ? -1 : pread(descriptor, text, bytes - 1, 0);
    if (got <= 0) return false;
    text[got] = '\0';
    return true;
  }
  static std::uint64_t kibibytes_of(const char* text, const char* key) noexcept {
    const char* entry = std::strstr(text, key);
    return entry == nullptr ? 0 : std::strtoull(entry + std::strlen(key), nullptr, 10);
  }

  RegionAccounts region_;
  bool shared_;
  int statm_;
  int rollup_;
  int status_;
  int forget_;
  std::uint64_t page_;
  bool forgets_ = false;
  Status before_;
  std::uint64_t last_peak_ = 0;
};

}  // namespace memtool
