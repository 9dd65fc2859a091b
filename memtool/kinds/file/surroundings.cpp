#include "kinds/file/surroundings.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "engine/instruments/pages.hpp"

namespace memtool::file {
namespace {

constexpr std::size_t kRoom = std::size_t{1} << 20;  // /proc/interrupts has a column for each processor

// Calls take(text) with the contents of a file in /proc and returns the result; kNotApplicable if there is no such
// file.
template <class Take>
std::uint64_t from_file(const char* path, Take take) noexcept {
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return kNotApplicable;
  const OwnPages room(kRoom);
  auto* const text = static_cast<char*>(room.base());
  std::size_t held = 0;
  while (text != nullptr && held + 1 < kRoom) {
    const ssize_t got = read(file, text + held, kRoom - 1 - held);
    if (got <= 0) break;
    held += static_cast<std::size_t>(got);
  }
  close(file);
  if (held == 0) return kNotApplicable;
  return take(text);
}

// The sum of all numbers that follow a key, up to the next word that is not a number.
std::uint64_t sum_after(const char* text, const char* key) noexcept {
  const char* entry = std::strstr(text, key);
  if (entry == nullptr) return kNotApplicable;
  std::uint64_t sum = 0;
  const char* at = entry + std::strlen(key);
  for (char* end = nullptr;; at = end) {
    const std::uint64_t number = std::strtoull(at, &end, 10);
    if (end == at) return sum;
    sum += number;
  }
}

}  // namespace

Surroundings look_around() noexcept {
  Surroundings surroundings;
  surroundings.huge = from_file("/proc/self/smaps_rollup", [](const char* text) {
    std::uint64_t sum = 0;
    for (const char* key : {"\nAnonHugePages:", "\nFilePmdMapped:", "\nShmemPmdMapped:"}) {
      const std::uint64_t kibibytes = sum_after(text, key);
      sum += kibibytes == kNotApplicable ? 0 : kibibytes * 1024;
    }
    return sum;
  });
  surroundings.read = from_file("/proc/self/io", [](const char* text) { return sum_after(text, "\nread_bytes:"); });
  surroundings.shootdowns = from_file("/proc/interrupts", [](const char* text) { return sum_after(text, "TLB:"); });
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  surroundings.minor_faults = static_cast<std::uint64_t>(used.ru_minflt);
  surroundings.major_faults = static_cast<std::uint64_t>(used.ru_majflt);
  return surroundings;
}

}  // namespace memtool::file
