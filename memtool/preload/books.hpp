// Memory for a preloaded heap's own requests. The heap cannot request it from malloc, because it is the malloc.
//
// Blocks are powers of two, cut from one reservation and kept in free lists. Requests are few and small.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "preload/spin_lock.hpp"

namespace memtool {

class Books {
 public:
  constexpr Books() noexcept = default;
  Books(const Books&) = delete;
  Books& operator=(const Books&) = delete;

  // Returns nullptr if memory is exhausted. `alignment`: a power of two.
  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t whole = std::max({size + kHeader, alignment + kHeader, std::size_t{1} << kLeast});
    const auto order = static_cast<unsigned>(std::bit_width(whole - 1));
    if (whole < size || order >= kOrders) return nullptr;
    const Locked locked(lock_);
    if (base_ == nullptr && !reserve()) return nullptr;
    std::byte* block = static_cast<std::byte*>(free_[order]);
    if (block != nullptr) {
      std::memcpy(&free_[order], block, sizeof(void*));
    } else {
      // A block lies at a multiple of its length, so that its contents can be aligned.
      const std::size_t length = std::size_t{1} << order;
      const std::size_t offset = (used_ + length - 1) & ~(length - 1);
      if (offset + length > reserved_) return nullptr;
      block = base_ + offset;
      used_ = offset + length;
    }
    const std::size_t front = std::max(kHeader, alignment);
    if (front + size > std::size_t{1} << order) return give_back(block, order), nullptr;
    reinterpret_cast<Header*>(block + front)[-1] = {order, static_cast<std::uint32_t>(front)};
    return block + front;
  }
  void deallocate(void* block) noexcept {
    const Header header = header_of(block);
    const Locked locked(lock_);
    give_back(static_cast<std::byte*>(block) - header.front, header.order);
  }
  [[nodiscard]] std::size_t usable_size(const void* block) const noexcept {
    const Header header = header_of(block);
    return (std::size_t{1} << header.order) - header.front;
  }
  [[nodiscard]] bool contains(const void* block) const noexcept {
    return reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(base_) < reserved_;
  }
  // Called around a fork.
  void lock() noexcept { lock_.lock(); }
  void unlock() noexcept { lock_.unlock(); }
  // The bytes in use of a reservation that no other figure counts.
  [[nodiscard]] std::size_t used() const noexcept { return used_; }

 private:
  struct alignas(16) Header {
    std::uint32_t order;
    std::uint32_t front;
  };
  static constexpr std::size_t kHeader = sizeof(Header);
  static constexpr std::size_t kMostReserved = std::size_t{8} << 30;
  static constexpr std::size_t kLeastReserved = std::size_t{2} << 20;
  static constexpr unsigned kLeast = 5;
  static constexpr unsigned kOrders = 33;

  static Header header_of(const void* block) noexcept { return static_cast<const Header*>(block)[-1]; }
  // Where address space is limited (`ulimit -v`), seven eighths of it and more are left to the heap and the program.
  bool reserve() noexcept {
    for (std::size_t bytes = kMostReserved; bytes >= kLeastReserved; bytes /= 8) {
      void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (memory == MAP_FAILED) continue;
      base_ = static_cast<std::byte*>(memory);
      reserved_ = bytes == kMostReserved ? bytes : bytes / 8;
      if (reserved_ < bytes) munmap(base_ + reserved_, bytes - reserved_);
      return true;
    }
    return false;
  }
  void give_back(std::byte* block, unsigned order) noexcept {
    std::memcpy(block, &free_[order], sizeof(void*));
    free_[order] = block;
  }

  SpinLock lock_;
  std::byte* base_ = nullptr;
  std::size_t reserved_ = 0;
  std::size_t used_ = 0;
  std::array<void*, kOrders> free_{};
};

}  // namespace memtool
