// Memory directly from the kernel, for the books of adaptors. They cannot use malloc or the heap below, because either
// may be what is measured.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <memory_resource>
#include <new>

#include "allocators/support/bits.hpp"

namespace memtool {

class MappedMemory final : public std::pmr::memory_resource {
 public:
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }

 private:
  static constexpr std::size_t kPage = 4096;

  void* do_allocate(std::size_t bytes, std::size_t) override {
    const std::size_t rounded = bits::round_up(bytes, kPage);
    void* mapped = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    bytes_ += rounded;
    return mapped;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t) override {
    const std::size_t rounded = bits::round_up(bytes, kPage);
    munmap(block, rounded);
    bytes_ -= rounded;
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  std::size_t bytes_ = 0;
};

}  // namespace memtool
