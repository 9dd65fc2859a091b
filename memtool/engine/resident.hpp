// Resident memory of this process as the kernel accounts for it, without allocating anything.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/region_account.hpp"

namespace memtool {

// Anonymous memory, and the region where that is a shared mapping: pages of other mapped files (the event image, the
// code of libraries) are not the allocator's.
class Resident {
 public:
  Resident(const void* region, std::uint64_t bytes, bool shared) noexcept
      : region_(region, bytes),
        shared_(shared),
        statm_(open("/proc/self/statm", O_RDONLY | O_CLOEXEC)),
        rollup_(open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC)),
        page_(static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))) {}
  ~Resident() {
    if (statm_ >= 0) close(statm_);
    if (rollup_ >= 0) close(rollup_);
  }
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;

  // Cheap (under a microsecond), but the kernel keeps these counters per processor and may be behind by some pages.
  [[nodiscard]] std::uint64_t approximate() const noexcept {
    char text[128];
    if (!read(statm_, text, sizeof text)) return 0;
    char* at = text;
    std::strtoull(at, &at, 10);  // size of the address space
    const std::uint64_t resident = std::strtoull(at, &at, 10);
    const std::uint64_t of_files = std::strtoull(at, &at, 10);
    // Of other files only pages of code can still come in after the baseline.
    return (shared_ ? resident : resident - of_files) * page_;
  }

  struct Exact {
    std::uint64_t bytes = 0;
    std::uint64_t huge = 0;
  };
  // From the page tables themselves: about a millisecond.
  [[nodiscard]] Exact exact() const noexcept {
    char text[2048];
    if (!read(rollup_, text, sizeof text)) return {approximate(), 0};
    const std::uint64_t of_region = shared_ ? region_.read().resident_bytes : 0;
    return {kibibytes_of(text, "\nAnonymous:") * 1024 + of_region, kibibytes_of(text, "\nAnonHugePages:") * 1024};
  }

  [[nodiscard]] RegionAccount of_region() const noexcept { return region_.read(); }

 private:
  static bool read(int descriptor, char* text, std::size_t bytes) noexcept {
    const ssize_t got = descriptor < 0 ? -1 : pread(descriptor, text, bytes - 1, 0);
    if (got <= 0) return false;
    text[got] = '\0';
    return true;
  }
  static std::uint64_t kibibytes_of(const char* text, const char* key) noexcept {
    const char* found = std::strstr(text, key);
    return found == nullptr ? 0 : std::strtoull(found + std::strlen(key), nullptr, 10);
  }

  RegionAccounts region_;
  bool shared_;
  int statm_;
  int rollup_;
  std::uint64_t page_;
};

}  // namespace memtool
