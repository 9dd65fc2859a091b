// Accesses a file through a mapping, directly in the page cache.
#pragma once

#include <sys/mman.h>

#include <algorithm>

#include "engine/instruments/region_account.hpp"
#include "kinds/file/ways.hpp"

namespace memtool::file {

class Mapping {
 public:
  // `flags` of mmap; `advice` of madvise for the whole mapping, 0: none; `drops`: a scan unmaps what it has passed.
  struct Style {
    int flags;
    int advice;
    bool drops;
  };
  Mapping(const Asked& asked, const Style& style) noexcept
      : asked_(asked),
        style_(style),
        block_(asked.image.block),
        page_(static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))),
        buffer_(asked.image.block, asked.image.seed) {}
  ~Mapping() { unmap(); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  bool open() { return buffer_.data() != nullptr || refuse(asked_, "memory for a buffer", 0, -ENOMEM); }
  bool begin() {
    end_ = 0;
    return asked_.image.pattern == Pattern::append || map(0, asked_.image.bytes);
  }

  template <class Observer>
  bool access(std::uint64_t offset, Observer& observer) {
    if (!asked_.image.writes()) {
      const std::uint64_t start = observer.begin();
      observer.seen(offset, base_ + offset, block_);
      observer.end(start);
      return !style_.drops || offset + block_ < dropped_ + kStep || drop(offset + block_);
    }
    observer.prepare(offset, buffer_.data(), block_);
    const std::uint64_t start = observer.begin();
    if (asked_.image.pattern == Pattern::append && offset + block_ > first_ + mapped_ && !grow(offset)) return false;
    std::memcpy(base_ + (offset - first_), buffer_.data(), block_);
    observer.end(start);
    observer.written(offset);
    end_ = std::max(end_, offset + block_);
    return true;
  }

  bool sync() {
    if (asked_.image.sync != Sync::msync) return sync_descriptor(asked_, asked_.file.number());
    return msync(base_, mapped_, MS_SYNC) == 0 || refuse(asked_, "msync", 0, -errno);
  }
  template <class Observer>
  bool drained(Observer&) {
    return true;
  }
  void look(Memory& memory) const noexcept { memory.resident = RegionAccounts(base_, mapped_).read().resident_bytes; }
  bool finish() {
    unmap();
    if (asked_.image.pattern != Pattern::append) return true;
    return ftruncate(asked_.file.number(), static_cast<off_t>(end_)) == 0 || refuse(asked_, "ftruncate", end_, -errno);
  }

 private:
  static constexpr std::uint64_t kStep = std::uint64_t{16} << 20;  // step in which a file grows and is dropped

  bool map(std::uint64_t first, std::uint64_t bytes) {
    const int allowed = PROT_READ | (asked_.image.writes() ? PROT_WRITE : 0);
    void* const mapped = mmap(nullptr, bytes, allowed, style_.flags, asked_.file.number(), static_cast<off_t>(first));
    if (mapped == MAP_FAILED) return refuse(asked_, "mmap", first, -errno);
    base_ = static_cast<std::byte*>(mapped);
    first_ = first;
    mapped_ = bytes;
    dropped_ = 0;
    return style_.advice == 0 || madvise(mapped, bytes, style_.advice) == 0 || refuse(asked_, "madvise", first, -errno);
  }
  void unmap() noexcept {
    if (base_ != nullptr) munmap(base_, mapped_);
    base_ = nullptr;
    first_ = mapped_ = 0;
  }
  // A file must be extended before it can be mapped. The excess is cut off at the end.
  bool grow(std::uint64_t offset) {
    unmap();
    const std::uint64_t first = offset / page_ * page_;
    const std::uint64_t bytes = kStep + block_;
    if (ftruncate(asked_.file.number(), static_cast<off_t>(first + bytes)) != 0)
      return refuse(asked_, "ftruncate", first + bytes, -errno);
    return map(first, bytes);
  }
  bool drop(std::uint64_t behind) {
    const std::uint64_t from = dropped_;
    dropped_ = behind / page_ * page_;
    return madvise(base_ + from, dropped_ - from, MADV_DONTNEED) == 0 || refuse(asked_, "madvise", from, -errno);
  }

  Asked asked_;
  Style style_;
  std::uint64_t block_;
  std::uint64_t page_;
  Buffer buffer_;
  std::byte* base_ = nullptr;
  std::uint64_t first_ = 0;    // offset of the mapped part
  std::uint64_t mapped_ = 0;   // bytes
  std::uint64_t dropped_ = 0;  // bytes
  std::uint64_t end_ = 0;      // end of the written part
};

}  // namespace memtool::file
