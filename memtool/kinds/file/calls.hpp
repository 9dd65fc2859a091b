// Accesses a file with one call each, which copies bytes to or from a buffer.
#pragma once

#include <fcntl.h>
#include <sys/uio.h>

#include <algorithm>

#include "kinds/file/ways.hpp"

namespace memtool::file {

enum class Calling : std::uint8_t {
  sequential,       // read, write; after an lseek if the access does not continue the previous one
  positioned,       // pread, pwrite
  without_waiting,  // preadv2 with RWF_NOWAIT, repeated without it if the data is not in the page cache
  durable,          // pwritev2 with RWF_DSYNC: on the device when the call returns
};

template <Calling kCalling>
class Calls {
 public:
  Calls(const Asked& asked, bool direct) noexcept
      : asked_(asked), block_(asked.image.block), direct_(direct), buffer_(asked.image.block, asked.image.seed) {}

  bool open() {
    if (buffer_.data() == nullptr) return refuse(asked_, "memory for a buffer", 0, -ENOMEM);
    if (direct_ && !asked_.file.open_direct(past_cache_)) return false;
    file_ = direct_ ? past_cache_.number() : asked_.file.number();
    return true;
  }
  bool begin() {
    if constexpr (kCalling == Calling::sequential) return seek(0);
    return true;
  }

  template <class Observer>
  bool access(std::uint64_t offset, Observer& observer) {
    if (asked_.image.writes()) {
      observer.prepare(offset, buffer_.data(), block_);
      const std::uint64_t start = observer.begin();
      const ssize_t done = write_at(offset);
      if (static_cast<std::uint64_t>(done) != block_ && !finish_one(offset, done)) [[unlikely]]
        return false;
      observer.end(start);
      observer.written(offset);
      return true;
    }
    const std::uint64_t start = observer.begin();
    const ssize_t done = read_at(offset);
    if (static_cast<std::uint64_t>(done) != block_ && !finish_one(offset, done)) [[unlikely]]
      return false;
    observer.seen(offset, buffer_.data(), block_);
    observer.end(start);
    return true;
  }

  bool sync() { return sync_descriptor(asked_, file_); }
  template <class Observer>
  bool drained(Observer&) {
    return true;
  }
  void look(Memory& memory) const noexcept { memory.resident = memory.huge = kNotApplicable; }
  bool finish() { return true; }

 private:
  bool seek(std::uint64_t offset) noexcept {
    position_ = offset;
    return lseek(file_, static_cast<off_t>(offset), SEEK_SET) == static_cast<off_t>(offset) ||
           !asked_.file.is_regular() || refuse(asked_, "lseek", offset, -errno);
  }
  // Called after a call that transferred fewer bytes than requested.
  [[gnu::noinline]] bool finish_one(std::uint64_t offset, ssize_t done) {
    if (done < 0 && errno != EINTR) return refuse(asked_, asked_.image.writes() ? "a write" : "a read", offset, -errno);
    position_ = ~std::uint64_t{0};  // the position of the descriptor is unknown
    if (!finish_access(asked_, file_, buffer_.data(), offset, static_cast<std::uint64_t>(std::max<ssize_t>(done, 0))))
      return false;
    return kCalling != Calling::durable || sync_descriptor(asked_, file_);
  }
  ssize_t read_at(std::uint64_t offset) noexcept {
    const auto at = static_cast<off_t>(offset);
    if constexpr (kCalling == Calling::sequential) {
      if (position_ != offset && !seek(offset)) return -1;
      position_ += block_;
      return read(file_, buffer_.data(), block_);
    } else if constexpr (kCalling == Calling::without_waiting) {
      iovec part{buffer_.data(), block_};
      const ssize_t done = preadv2(file_, &part, 1, at, RWF_NOWAIT);
      if (static_cast<std::uint64_t>(done) == block_) return done;
      return preadv2(file_, &part, 1, at, 0);
    } else {
      return pread(file_, buffer_.data(), block_, at);
    }
  }
  ssize_t write_at(std::uint64_t offset) noexcept {
    const auto at = static_cast<off_t>(offset);
    if constexpr (kCalling == Calling::sequential) {
      if (position_ != offset && !seek(offset)) return -1;
      position_ += block_;
      return write(file_, buffer_.data(), block_);
    } else if constexpr (kCalling == Calling::durable) {
      const iovec part{buffer_.data(), block_};
      return pwritev2(file_, &part, 1, at, RWF_DSYNC);
    } else {
      return pwrite(file_, buffer_.data(), block_, at);
    }
  }

  Asked asked_;
  std::uint64_t block_;
  bool direct_;
  Buffer buffer_;
  Descriptor past_cache_;
  int file_ = -1;
  std::uint64_t position_ = 0;
};

}  // namespace memtool::file
