// The memory under a strategy: one contiguous reservation, used from its base upwards.
//
// Python maps the reservation and passes its base and length. A strategy takes memory with grow(), as a C heap does
// with sbrk(). All memory of a strategy goes through this class, so the footprint F(t) and the number of calls to
// grow() are counted in one place.
//
// Only one thread at a time may call grow(), shrink() or reset(). Any thread may call used(), peak(), take_peak() and
// contains() at any time.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace memtool {

class Region {
 public:
  // `base` must be aligned to at least a page. `capacity` is the length of the reservation in bytes. `shared`: the
  // mapping is shared, so its pages are freed only by punching a hole in the file behind it.
  Region(void* base, std::size_t capacity, bool shared = false) noexcept
      : base_(static_cast<std::byte*>(base)), capacity_(capacity), give_back_(shared ? MADV_REMOVE : MADV_DONTNEED) {}

  Region(const Region&) = delete;
  Region& operator=(const Region&) = delete;

  // Extends the used part by `bytes` and returns its first new byte, or nullptr if the reservation has no room.
  // Successive calls are contiguous. `bytes` is not rounded, because rounding to pages is the strategy's decision.
  [[nodiscard]] void* grow(std::size_t bytes) noexcept {
    const std::size_t before = used();
    if (bytes > capacity_ - before) return nullptr;
    if (budgets_apart_ && !has_room_for_tables(before + bytes)) return nullptr;
    set_used(before + bytes);
    ++grow_calls_;
    return base_ + before;
  }

  // Returns the last `bytes` of the used part to the system. Only whole pages are really freed.
  void shrink(std::size_t bytes) noexcept {
    const std::size_t end = used();
    // A peak can end only here: while the region grows, used() is the peak. A read-modify-write is unnecessary, because
    // only one thread shrinks the region, and a concurrent take_peak() has already read used().
    if (end > peak_.load(std::memory_order_relaxed)) peak_.store(end, std::memory_order_relaxed);
    set_used(end - bytes);
    const std::size_t first_page = (end - bytes + kPage - 1) & ~(kPage - 1);
    if (first_page < end) madvise(base_ + first_page, end - first_page, give_back_);
    ++shrink_calls_;
  }

  // Returns whole pages inside the used part to the system. They read as zero when they are used again. Returns false
  // if the system refuses; the pages then keep their contents. Preserves errno, because a free may call this.
  [[nodiscard]] bool discard(void* first, std::size_t bytes) const noexcept {
    const int problem = errno;
    const bool is_done = madvise(first, bytes, give_back_) == 0;
    errno = problem;
    return is_done;
  }

  // Called between two replays in one process. It frees the whole region, but the pages stay resident (the heap is
  // warm).
  void reset() noexcept {
    set_used(0);
    peak_.store(0, std::memory_order_relaxed);
    grow_calls_ = 0;
    shrink_calls_ = 0;
    keeper_ = nullptr;
    apart_of_ = nullptr;
    budgets_apart_ = false;
  }

  // Registers the tables that a strategy keeps outside of the region, until the next reset. `bytes(keeper, used)`
  // returns their size once `used` bytes of the region are in use, or their current size for 0. The footprint includes
  // them. If `budgeted`, the capacity has to cover them too, and growing first reserves room for the larger tables.
  using ApartOf = std::size_t (*)(const void* keeper, std::size_t used) noexcept;
  void count_apart(const void* keeper, ApartOf bytes, bool budgeted = true) noexcept {
    keeper_ = keeper;
    budgets_apart_ = budgeted;
    apart_of_ = bytes;
  }
  [[nodiscard]] std::size_t apart() const noexcept { return apart_of_ == nullptr ? 0 : apart_of_(keeper_, 0); }
  [[nodiscard]] std::size_t footprint() const noexcept { return used() + apart(); }
  // The part of apart() that counts against the capacity.
  [[nodiscard]] std::size_t budgeted_apart() const noexcept { return budgets_apart_ ? apart() : 0; }

  [[nodiscard]] std::byte* base() const noexcept { return base_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
  [[nodiscard]] std::size_t used() const noexcept { return used_.load(std::memory_order_relaxed); }  // F(t), bytes
  // The largest number of bytes in use at once since take_peak() or reset(), even in the middle of an operation.
  [[nodiscard]] std::size_t peak() const noexcept { return std::max(peak_.load(std::memory_order_relaxed), used()); }
  [[nodiscard]] std::size_t take_peak() noexcept {
    const std::size_t now = used();
    return std::max(peak_.exchange(now, std::memory_order_relaxed), now);
  }
  [[nodiscard]] std::uint64_t grow_calls() const noexcept { return grow_calls_; }
  [[nodiscard]] std::uint64_t shrink_calls() const noexcept { return shrink_calls_; }
  [[nodiscard]] bool contains(const void* address, std::size_t bytes) const noexcept {
    const auto first = reinterpret_cast<std::uintptr_t>(address);
    const auto low = reinterpret_cast<std::uintptr_t>(base_);
    const std::size_t end = used();
    return first >= low && first - low <= end && bytes <= end - (first - low);
  }

 private:
  // A function of its own, so that growing without tables saves no registers for it.
  [[nodiscard, gnu::noinline, gnu::cold]] bool has_room_for_tables(std::size_t used) const noexcept {
    return apart_of_(keeper_, used) <= capacity_ - used;
  }

  static constexpr std::size_t kPage = 4096;
  void set_used(std::size_t bytes) noexcept { used_.store(bytes, std::memory_order_relaxed); }

  std::byte* base_;
  std::size_t capacity_;
  int give_back_;
  std::atomic<std::size_t> used_ = 0;
  std::atomic<std::size_t> peak_ = 0;
  const void* keeper_ = nullptr;
  ApartOf apart_of_ = nullptr;
  bool budgets_apart_ = false;
  std::uint64_t grow_calls_ = 0;
  std::uint64_t shrink_calls_ = 0;
};

}  // namespace memtool
