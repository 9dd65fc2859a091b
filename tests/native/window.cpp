// Goes through a file window by window, as a replay goes through an image: `window FILE WINDOW_BYTES`. Prints, for each
// place that is shown, up to where an event may begin and how many kibibytes of the file are in this process.
#include "engine/replay/window.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Of the mapping at this address, from /proc/self/smaps.
long resident_kib(const void* mapping) {
  char line[512];
  char begins[32];
  std::snprintf(begins, sizeof begins, "%llx-",
                static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(mapping)));
  bool is_here = false;
  long kib = -1;
  std::FILE* file = std::fopen("/proc/self/smaps", "r");
  while (std::fgets(line, sizeof line, file) != nullptr && kib < 0) {
    if (std::strncmp(line, begins, std::strlen(begins)) == 0) is_here = true;
    if (is_here && std::sscanf(line, "Rss: %ld kB", &kib) != 1) kib = -1;
  }
  std::fclose(file);
  return kib;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  const int file = open(words[1], O_RDONLY);
  struct stat found{};
  if (file < 0 || fstat(file, &found) != 0) return 3;
  const auto bytes = static_cast<std::uint64_t>(found.st_size);
  void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return 4;
  const auto* image = static_cast<const std::uint64_t*>(mapped);
  const std::uint64_t* end = image + bytes / sizeof *image;
  memtool::ImageWindow window(image, bytes, std::strtoull(words[2], nullptr, 10), memtool::Clock(false));
  std::uint64_t sum = 0;
  for (const std::uint64_t* at = image; at < end;) {
    const std::uint64_t* until = window.show(at);
    if (until > end) return 5;
    for (; at < until; at += 4) sum += *at;  // events of the most that one takes, 32 bytes
    std::printf("%lld %ld\n", static_cast<long long>(until - image) * 8, resident_kib(mapped));
  }
  std::printf("%llu\n", static_cast<unsigned long long>(sum));
}
