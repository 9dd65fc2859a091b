// One mapping for each allocation: the kernel serves every request, and every free returns its pages at once.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/foreign_heaps.hpp"

namespace memtool {

class Mapping : public ForeignHeap {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "populate",
       .summary = "whether a mapping faults in its pages at once",
       .default_value = 0,
       .unit = "choice",
       .choices = "no|yes"},
  }};
  static constexpr StrategyInfo info{
      .name = "mmap",
      .family = "mapping",
      .summary = "One mmap for each allocation and one munmap for each free, in whole pages.",
      .source = "mmap(2), munmap(2), mremap(2) of Linux",
      .complexity =
          "a system call for each operation and a fault for each page that is touched; resizing copies nothing",
      .when = "few, large blocks that live long or must return to the system at once; the cost of system calls",
      .parameters = kParameters,
      .uses_region = false,
      .thread_safe = true,
      .route = CallRoute::linker,
  };

  Mapping(Region&, const Parameters& parameters) noexcept
      : flags_(MAP_PRIVATE | MAP_ANONYMOUS | (parameters["populate"] == 1 ? MAP_POPULATE : 0)) {}
  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t bytes = usable_size(nullptr, size);
    if (bytes < size) return nullptr;
    return alignment <= kPage ? map(bytes) : map_aligned(bytes, alignment);
  }
  // Fresh pages from the kernel are always zero.
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept { return allocate(size, alignment); }
  void deallocate(void* block, std::size_t size, std::size_t) noexcept { munmap(block, usable_size(nullptr, size)); }

  // The kernel moves the pages where they fit. It guarantees page alignment only, so blocks with a larger alignment are
  // copied.
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    const std::size_t bytes = usable_size(nullptr, new_size);
    if (bytes < new_size) return nullptr;
    void* moved = mremap(block, usable_size(nullptr, old_size), bytes, alignment <= kPage ? MREMAP_MAYMOVE : 0);
    if (moved != MAP_FAILED) return moved;
    if (alignment <= kPage) return nullptr;
    moved = map_aligned(bytes, alignment);
    if (moved == nullptr) return nullptr;
    std::memcpy(moved, block, std::min(old_size, new_size));
    deallocate(block, old_size, alignment);
    return moved;
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept {
    return bits::round_up(std::max<std::size_t>(size, 1), kPage);
  }

 private:
  static constexpr std::size_t kPage = 4096;

  [[nodiscard]] void* map(std::size_t bytes) const noexcept {
    void* mapped = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags_, -1, 0);
    return mapped == MAP_FAILED ? nullptr : mapped;
  }

  // Reserves enough addresses for an aligned block, then unmaps the rest before it is ever touched.
  [[nodiscard]] void* map_aligned(std::size_t bytes, std::size_t alignment) const noexcept {
    const std::size_t reserved = bytes + alignment - kPage;
    if (reserved < bytes) return nullptr;
    void* reservation = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reservation == MAP_FAILED) return nullptr;
    auto* first = static_cast<std::byte*>(reservation);
    std::byte* block = bits::align_up(first, alignment);
    void* mapped = mmap(block, bytes, PROT_READ | PROT_WRITE, flags_ | MAP_FIXED, -1, 0);
    if (mapped == MAP_FAILED) {
      munmap(first, reserved);
      return nullptr;
    }
    if (block > first) munmap(first, static_cast<std::size_t>(block - first));
    if (first + reserved > block + bytes)
      munmap(block + bytes, static_cast<std::size_t>(first + reserved - block - bytes));
    return block;
  }

  int flags_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Mapping);
