// The size class of the blocks in each page, in one byte for each page. So the entries of a heap's hot part lie in a
// few cache lines.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "allocators/concept/region.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

class PageClasses {
 public:
  // Throws std::bad_alloc.
  explicit PageClasses(const Region& region)
      : region_(region), mapped_bytes_(bits::round_up(region.capacity() / kPage + 1, kPage)) {
    void* mapped =
        mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    // The origin is chosen as if the table began at address 0, so the index of a page is its address without the last
    // twelve bits.
    origin_ = reinterpret_cast<std::uintptr_t>(mapped) - reinterpret_cast<std::uintptr_t>(region.base()) / kPage;
  }
  ~PageClasses() { munmap(entry(region_.base()), mapped_bytes_); }
  PageClasses(const PageClasses&) = delete;
  PageClasses& operator=(const PageClasses&) = delete;

  // Only for a page whose class was set.
  [[nodiscard, gnu::always_inline]] std::size_t of(const void* address) const noexcept { return *entry(address); }
  void set(const void* first, std::size_t bytes, std::uint8_t index) noexcept {
    std::memset(entry(first), index, (bytes + kPage - 1) / kPage);
  }
  [[nodiscard]] std::size_t bytes(std::size_t used = 0) const noexcept {
    return std::max(region_.used(), used) / kPage;
  }

 private:
  static constexpr std::size_t kPage = 4096;
  [[nodiscard, gnu::always_inline]] std::uint8_t* entry(const void* address) const noexcept {
    return reinterpret_cast<std::uint8_t*>(origin_ + reinterpret_cast<std::uintptr_t>(address) / kPage);
  }

  const Region& region_;
  std::size_t mapped_bytes_;
  std::uintptr_t origin_ = 0;
};

}  // namespace memtool
