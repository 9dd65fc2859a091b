// Memory for the harness. It does not come from malloc, because malloc may be what is measured.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace memtool {

struct AddressRange {
  std::uintptr_t begin;
  std::uintptr_t end;
};

// Pages that are unmapped at the end. They are resident only where they have been written.
class OwnPages {
 public:
  explicit OwnPages(std::size_t bytes) noexcept : bytes_(bytes) {
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    base_ = mapped == MAP_FAILED ? nullptr : mapped;
  }
  ~OwnPages() {
    if (base_ != nullptr) munmap(base_, bytes_);
  }
  OwnPages(const OwnPages&) = delete;
  OwnPages& operator=(const OwnPages&) = delete;
  [[nodiscard]] bool mapped() const noexcept { return base_ != nullptr; }
  [[nodiscard]] void* base() const noexcept { return base_; }
  [[nodiscard]] AddressRange range() const noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(base_);
    return {begin, begin + bytes_};
  }

 private:
  void* base_ = nullptr;
  std::size_t bytes_;
};

// Zeroed memory that is resident from the start, because tables of the harness must not fault while something is timed.
template <class T>
class Table {
 public:
  explicit Table(std::uint64_t count) noexcept : bytes_(std::max<std::uint64_t>(count, 1) * sizeof(T)) {
    void* mapped = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    entries_ = mapped == MAP_FAILED ? nullptr : static_cast<T*>(mapped);
  }
  ~Table() {
    if (entries_ != nullptr) munmap(entries_, bytes_);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  [[nodiscard]] T* data() const noexcept { return entries_; }
  [[nodiscard]] AddressRange range() const noexcept {
    const auto begin = reinterpret_cast<std::uintptr_t>(entries_);
    return {begin, begin + bytes_};
  }

 private:
  std::uint64_t bytes_;
  T* entries_;
};

}  // namespace memtool
