// The common part of all ways to access a file. A way is a class with these functions:
//
//   bool open()                 called once, before the others
//   bool begin()                what a program does before its first access: for a mapping, creating it
//   bool access(offset, observer)
//   bool sync()                 makes the writes up to here durable, as the workload requires
//   bool drained(observer)      waits until every access has completed
//   void look(Memory&)          reports its memory, before it ends
//   bool finish()               for a mapping, removing it
//
// Each returns false once the sample has failed, with a message in the result.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/instruments/pages.hpp"
#include "kinds/file/content.hpp"
#include "kinds/file/data_file.hpp"
#include "kinds/file/image.hpp"

namespace memtool::file {

constexpr std::uint64_t kSector = 512;

struct Asked {
  KernelCall& call;
  const Image& image;
  DataFile& file;
};

// Reports an access with the wrong result: a number of bytes, or a negative errno.
inline bool refuse(const Asked& asked, const char* what, std::uint64_t offset, std::int64_t done) {
  if (done >= 0)
    fail(asked.call.result, MEMTOOL_BAD_REQUEST, "%s at byte %llu came to %lld of %llu bytes: the file was truncated",
         what, as_printed(offset), static_cast<long long>(done), as_printed(asked.image.block));
  else
    fail(asked.call.result, MEMTOOL_BAD_REQUEST, "%s at byte %llu: %s", what, as_printed(offset),
         std::strerror(static_cast<int>(-done)));
  return false;
}

// Reads or writes `bytes`, of which the first `moved` are already done. A call may transfer only a part, or be
// interrupted (read(2), write(2)); if there was an error, the next call reports it. Returns all bytes, fewer if the
// file ends, or a negative errno.
template <class Call>
std::int64_t in_calls(std::uint64_t bytes, std::uint64_t moved, Call call) noexcept {
  while (moved < bytes) {
    const ssize_t done = call(moved);
    if (done > 0)
      moved += static_cast<std::uint64_t>(done);
    else if (done == 0)
      break;
    else if (errno != EINTR)
      return -errno;
  }
  return static_cast<std::int64_t>(moved);
}

// Completes an access after its first `moved` bytes.
inline bool finish_access(const Asked& asked, int file, std::byte* at, std::uint64_t offset, std::uint64_t moved) {
  const bool writes = asked.image.writes();
  const std::uint64_t block = asked.image.block;
  const std::int64_t done = in_calls(block, moved, [&](std::uint64_t from) {
    const int number = from % kSector == 0 ? file : asked.file.number();  // O_DIRECT requires whole sectors
    const auto place = static_cast<off_t>(offset + from);
    return writes ? pwrite(number, at + from, block - from, place) : pread(number, at + from, block - from, place);
  });
  return done == static_cast<std::int64_t>(block) || refuse(asked, writes ? "a write" : "a read", offset, done);
}

// For a descriptor whose calls return a negative errno.
inline bool sync_descriptor(const Asked& asked, int number) {
  const int done = asked.image.sync == Sync::fdatasync ? fdatasync(number) : fsync(number);
  return done == 0 || refuse(asked, asked.image.sync == Sync::fdatasync ? "fdatasync" : "fsync", 0, -errno);
}

// A buffer for reads and writes, on its own pages as O_DIRECT requires. It is resident from the start, and its contents
// cannot be compressed or left out by a file system.
class Buffer {
 public:
  Buffer(std::uint64_t bytes, std::uint64_t seed) noexcept : table_((bytes + kWord - 1) / kWord) {
    if (table_.data() != nullptr) Content(seed, Writing::second).fill(0, data(), bytes / kWord * kWord);
  }
  [[nodiscard]] std::byte* data() const noexcept { return reinterpret_cast<std::byte*>(table_.data()); }

 private:
  Table<std::uint64_t> table_;
};

}  // namespace memtool::file
