#include "kinds/file/data_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "engine/instruments/pages.hpp"
#include "kinds/file/content.hpp"

namespace memtool::file {
namespace {

constexpr std::uint64_t kChunk = 1 << 20;
constexpr long kCachestat = 451;          // Linux 6.5; absent from older headers
constexpr std::uint64_t kMostLeft = 100;  // a cold file may have one in this many parts cached
constexpr int kTries = 20;
constexpr useconds_t kPause = 10'000;

struct Range {
  std::uint64_t offset, bytes;
};
struct Pages {
  std::uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

std::uint64_t page_size() noexcept {
  return static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t length_of(int file) noexcept {
  struct stat status{};
  return fstat(file, &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

std::uint64_t cached_bytes_of(int file) noexcept {
  const std::uint64_t page = page_size();
  const std::uint64_t bytes = length_of(file);
  if (bytes == 0) return 0;
  const std::uint64_t pages = (bytes + page - 1) / page;
  const OwnPages states(pages);
  void* mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) return kNotApplicable;
  auto* const state = static_cast<unsigned char*>(states.base());
  const bool known = state != nullptr && mincore(mapped, bytes, state) == 0;
  munmap(mapped, bytes);
  if (!known) return kNotApplicable;
  const auto cached = std::count_if(state, state + pages, [](unsigned char entry) { return (entry & 1) != 0; });
  return std::min(static_cast<std::uint64_t>(cached) * page, bytes);
}

}  // namespace

void Descriptor::reset(int number) noexcept {
  if (number_ >= 0) close(number_);
  number_ = number;
}

bool DataFile::refuse(const char* what) const {
  const char* problem = std::strerror(errno);
  return refused(call_.result, MEMTOOL_BAD_REQUEST, "the file of the workload %s: %s", what, problem);
}

bool DataFile::open() {
  if (image_.kind != Kind::regular) return open_device();
  char path[64];
  std::snprintf(path, sizeof path, "/proc/%d/fd/%llu", getppid(), as_printed(image_.descriptor));
  file_.reset(::open(path, O_RDWR | O_CLOEXEC));
  if (!file_.is_open()) return refuse("cannot be opened");
  if (image_.pattern == Pattern::append) return ftruncate(number(), 0) == 0 || refuse("cannot be emptied");
  return length_of(number()) == image_.bytes || fill();
}

bool DataFile::open_device() {
  if (image_.kind == Kind::memory) {
    file_.reset(memfd_create("memtool-device", MFD_CLOEXEC));
    return file_.is_open() ? fill() : refuse("cannot be made in memory");
  }
  // A device that is open for reading only is mapped privately, whatever was requested.
  const bool is_zero = std::string_view(image_.device) == kZero;
  file_.reset(::open(image_.device, (is_zero ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  if (file_.is_open()) return true;
  const char* problem = std::strerror(errno);
  return refused(call_.result, MEMTOOL_BAD_REQUEST, "%s cannot be opened: %s", image_.device, problem);
}

bool DataFile::refill() {
  return ftruncate(number(), 0) == 0 ? fill() : refuse("cannot be emptied");
}

bool DataFile::fill() {
  const Content content(image_.seed, Writing::first);
  const OwnPages buffer(kChunk);
  auto* const from = static_cast<std::byte*>(buffer.base());
  if (from == nullptr) return refuse("cannot be filled");
  for (std::uint64_t at = 0; at < image_.bytes;) {
    const std::uint64_t bytes = std::min(kChunk, image_.bytes - at);
    content.fill(at, from, bytes);
    const ssize_t done = pwrite(number(), from, bytes, static_cast<off_t>(at));
    if (done > 0 && static_cast<std::uint64_t>(done) % kWord == 0) {
      at += static_cast<std::uint64_t>(done);
      continue;
    }
    if (done < 0 && errno == EINTR) continue;
    const int problem = done < 0 ? errno : ENOSPC;
    const bool emptied = ftruncate(number(), 0) == 0;  // frees its space for others
    return refused(call_.result, MEMTOOL_BAD_REQUEST,
                   "the file of the workload cannot be made: %s after %llu of %llu bytes%s", std::strerror(problem),
                   as_printed(at), as_printed(image_.bytes), emptied ? "" : ", which remain");
  }
  return fsync(number()) == 0 || refuse("cannot be made durable");
}

bool DataFile::open_direct(Descriptor& direct) const {
  char path[64];
  std::snprintf(path, sizeof path, "/proc/self/fd/%d", number());
  direct.reset(::open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
  return direct.is_open() || refuse("cannot be opened past the page cache (O_DIRECT)");
}

std::uint64_t DataFile::cached_bytes() const noexcept {
  return is_regular() ? cached_bytes_of(number()) : kNotApplicable;
}

std::uint64_t DataFile::dirty_bytes() const noexcept {
  const Range whole{0, length_of(number())};
  Pages pages{};
  if (!is_regular() || syscall(kCachestat, number(), &whole, &pages, 0u) != 0) return kNotApplicable;
  return (pages.dirty + pages.writeback) * page_size();
}

bool DataFile::read_through() {
  const OwnPages buffer(kChunk);
  if (!buffer.mapped()) return refuse("cannot be read");
  for (std::uint64_t at = 0; at < length_of(number());) {
    const ssize_t done = pread(number(), buffer.base(), kChunk, static_cast<off_t>(at));
    if (done > 0)
      at += static_cast<std::uint64_t>(done);
    else if (done == 0 || errno != EINTR)
      return refuse("cannot be read");
  }
  return true;
}

bool DataFile::warm() {
  for (int attempt = 0; attempt < kTries && cached_bytes() < image_.bytes; ++attempt)
    if (!read_through()) return false;
  const std::uint64_t cached = cached_bytes();
  if (cached == image_.bytes) return true;
  return refused(call_.result, MEMTOOL_BAD_REQUEST,
                 "the page cache does not keep the file: %llu of %llu bytes are in it", as_printed(cached),
                 as_printed(image_.bytes));
}

bool DataFile::drop() {
  std::uint64_t cached = 0;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    if (fsync(number()) != 0) return refuse("cannot be made durable");
    const int problem = posix_fadvise(number(), 0, 0, POSIX_FADV_DONTNEED);
    if (problem != 0) return errno = problem, refuse("cannot be taken out of the page cache");
    cached = cached_bytes();
    if (cached <= image_.bytes / kMostLeft) return true;
    usleep(kPause);  // pages stay until their reads or writes are done
  }
  return refused(call_.result, MEMTOOL_BAD_REQUEST, "the page cache keeps the file: %llu of %llu bytes are still in it",
                 as_printed(cached), as_printed(image_.bytes));
}

bool DataFile::prepare() {
  if (!is_regular()) return true;
  if (image_.pattern == Pattern::append) return ftruncate(number(), 0) == 0 || refuse("cannot be emptied");
  if (image_.writes() && fsync(number()) != 0) return refuse("cannot be made durable");
  if (length_of(number()) != image_.bytes)
    return refused(call_.result, MEMTOOL_BAD_REQUEST,
                   "the file of the workload has %llu of its %llu bytes: it was truncated",
                   as_printed(length_of(number())), as_printed(image_.bytes));
  if (image_.cache == Cache::warm) return warm();
  return image_.cache == Cache::limited || drop();
}

}  // namespace memtool::file

std::uint64_t memtool_cached_bytes(int file) {
  return memtool::file::cached_bytes_of(file);
}
