// Which size class the blocks of a page are of: a byte a page, so that the pages of a whole heap's hot part lie in a
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
      : region_(region), base_(region.base()), mapped_bytes_(bits::round_up(region.capacity() / kPage + 1, kPage)) {
    void* mapped =
        mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    classes_ = static_cast<std::uint8_t*>(mapped);
  }
  ~PageClasses() { munmap(classes_, mapped_bytes_); }
  PageClasses(const PageClasses&) = delete;
  PageClasses& operator=(const PageClasses&) = delete;

  // Of a page for which one was set.
  [[nodiscard, gnu::always_inline]] std::size_t of(const void* address) const noexcept {
    return classes_[page_of(address)];
  }
  void set(const void* first, std::size_t bytes, std::uint8_t index) noexcept {
    std::memset(classes_ + page_of(first), index, (bytes + kPage - 1) / kPage);
  }
  [[nodiscard]] std::size_t bytes(std::size_t used = 0) const noexcept {
    return std::max(region_.used(), used) / kPage;
  }

 private:
  static constexpr std::size_t kPage = 4096;
  [[nodiscard]] std::size_t page_of(const void* address) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_) / kPage;
  }

  const Region& region_;
  const std::byte* base_;
  std::size_t mapped_bytes_;
  std::uint8_t* classes_ = nullptr;
};

}  // namespace memtool
