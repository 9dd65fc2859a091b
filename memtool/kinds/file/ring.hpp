// Accesses a file through io_uring, with several accesses in flight.
//
// It drives the rings as io_uring(7) describes, without liburing. It prepares one operation at a time, for which
// neither the build nor a measured process should depend on a library.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>

#include "kinds/file/ways.hpp"

namespace memtool::file {

// Returns why the kernel gives this process no ring, or nullptr. Static storage.
const char* why_no_ring() noexcept;

class Ring {
 public:
  Ring();
  ~Ring();
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  [[nodiscard]] int open(std::uint32_t entries) noexcept;  // 0, or errno
  // Submits an access of `bytes` to the kernel, which returns `slot` on completion. Returns 0 or errno.
  [[nodiscard]] int submit(bool writes, int file, std::byte* at, std::uint64_t bytes, std::uint64_t offset,
                           std::uint64_t slot) noexcept;
  struct Done {
    std::uint64_t slot;
    std::int64_t result;  // bytes, or a negative errno
  };
  [[nodiscard]] Done wait() noexcept;  // for any access to complete

 private:
  struct Rings;
  std::unique_ptr<Rings> rings_;
};

class ByRing {
 public:
  ByRing(const Asked& asked, bool direct) noexcept
      : asked_(asked),
        block_(asked.image.block),
        padded_((asked.image.block + kPage - 1) / kPage * kPage),
        depth_(asked.image.depth),
        direct_(direct),
        buffers_(padded_ * depth_, asked.image.seed),
        slots_(depth_) {}

  bool open() {
    if (buffers_.data() == nullptr || slots_.data() == nullptr) return refuse(asked_, "memory for buffers", 0, -ENOMEM);
    const int problem = ring_.open(static_cast<std::uint32_t>(depth_));
    if (problem != 0) return refuse(asked_, "io_uring", 0, -problem);
    if (direct_ && !asked_.file.open_direct(past_cache_)) return false;
    file_ = direct_ ? past_cache_.number() : asked_.file.number();
    return true;
  }
  bool begin() noexcept {
    begun_ = 0;
    return true;
  }

  template <class Observer>
  bool access(std::uint64_t offset, Observer& observer) {
    std::uint64_t slot = begun_;
    if (begun_ < depth_) {
      ++begun_;
    } else if (!take_one(observer, slot)) {
      return false;
    }
    std::byte* const at = buffers_.data() + slot * padded_;
    if (asked_.image.writes()) observer.prepare(offset, at, block_);
    slots_.data()[slot] = {offset, observer.begin()};
    const int problem = ring_.submit(asked_.image.writes(), file_, at, block_, offset, slot);
    return problem == 0 || refuse(asked_, "io_uring", offset, -problem);
  }

  template <class Observer>
  bool drained(Observer& observer) {
    for (std::uint64_t slot = 0; begun_ > 0; --begun_)
      if (!take_one(observer, slot)) return false;
    return true;
  }
  bool sync() { return sync_descriptor(asked_, file_); }
  void look(Memory& memory) const noexcept { memory.resident = memory.huge = kNotApplicable; }
  bool finish() noexcept { return true; }

 private:
  static constexpr std::uint64_t kPage = 4096;
  struct Slot {
    std::uint64_t offset;
    std::uint64_t start;
  };

  template <class Observer>
  bool take_one(Observer& observer, std::uint64_t& slot) {
    const Ring::Done done = ring_.wait();
    slot = done.slot;
    const Slot& taken = slots_.data()[slot];
    if (done.result != static_cast<std::int64_t>(block_) && !finish_one(done.result, slot)) [[unlikely]]
      return false;
    if (asked_.image.writes())
      observer.written(taken.offset);
    else
      observer.seen(taken.offset, buffers_.data() + slot * padded_, block_);
    observer.end(taken.start);
    return true;
  }

  // Called after an access that transferred fewer bytes than requested.
  [[gnu::noinline]] bool finish_one(std::int64_t result, std::uint64_t slot) {
    const std::uint64_t offset = slots_.data()[slot].offset;
    if (result < 0 && result != -EINTR && result != -EAGAIN)
      return refuse(asked_, asked_.image.writes() ? "a write" : "a read", offset, result);
    const auto moved = static_cast<std::uint64_t>(std::max<std::int64_t>(result, 0));
    return finish_access(asked_, file_, buffers_.data() + slot * padded_, offset, moved);
  }

  Asked asked_;
  std::uint64_t block_;
  std::uint64_t padded_;
  std::uint64_t depth_;
  bool direct_;
  Buffer buffers_;
  Table<Slot> slots_;
  Ring ring_;
  Descriptor past_cache_;
  int file_ = -1;
  std::uint64_t begun_ = 0;  // slots in use
};

}  // namespace memtool::file

// The same for Python (engine/instruments/binding.py), valid until the next call.
extern "C" [[gnu::visibility("default")]] const char* memtool_ring_refusal();
