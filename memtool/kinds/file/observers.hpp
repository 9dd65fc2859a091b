// The work beside each access: using the data, timing the access, or verifying the data.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/instruments/clock.hpp"
#include "engine/instruments/histogram.hpp"
#include "engine/instruments/pages.hpp"
#include "kinds/file/content.hpp"

namespace memtool::file {

// An access, and the use of its bytes, lies between begin() and end(). A ring has several at a time.
class Plain {
 public:
  [[nodiscard]] std::uint64_t begin() const noexcept { return 0; }
  void end(std::uint64_t) noexcept {}
  void synced(std::uint64_t) noexcept {}
  // Produces the bytes to be written at an offset, if their values matter.
  void prepare(std::uint64_t, std::byte*, std::uint64_t) noexcept {}
  void seen(std::uint64_t, const std::byte* from, std::uint64_t bytes) noexcept {
    const std::uint64_t sum = sum_of(from, bytes);
    asm volatile("" ::"r"(sum));
  }
  void written(std::uint64_t) noexcept {}
};

class Timed : public Plain {
 public:
  Timed(const Clock& clock, Histogram& access, Histogram& sync) noexcept
      : clock_(clock), access_(access), sync_(sync) {}
  [[nodiscard]] std::uint64_t begin() const noexcept { return clock_.start(); }
  void end(std::uint64_t start) noexcept { access_.record(clock_.stop() - start); }
  void synced(std::uint64_t start) noexcept { sync_.record(clock_.stop() - start); }

 private:
  const Clock& clock_;
  Histogram& access_;
  Histogram& sync_;
};

class Checking : public Plain {
 public:
  // `is_zero`: reads return zeroes, as from a device that has nothing else. `foreign`: the contents are unknown.
  Checking(std::uint64_t seed, std::uint64_t bytes, std::uint64_t block, bool is_zero, bool foreign) noexcept
      : first_(seed, Writing::first),
        second_(seed, Writing::second),
        block_(block),
        is_zero_(is_zero),
        foreign_(foreign),
        written_(bytes / block) {}

  [[nodiscard]] bool ready() const noexcept { return written_.data() != nullptr; }
  void prepare(std::uint64_t offset, std::byte* to, std::uint64_t bytes) noexcept { second_.fill(offset, to, bytes); }
  void written(std::uint64_t offset) noexcept { written_.data()[offset / block_] = 1; }
  void seen(std::uint64_t offset, const std::byte* from, std::uint64_t bytes) noexcept {
    ++blocks_;
    const bool known = foreign_ || (is_zero_ ? is_all_zero(from, bytes) : first_.is(offset, from, bytes));
    if (!known && wrong_ == kNone) wrong_ = offset;
  }
  // Verifies a block of the file after the end. `kept`: the writes did not reach the file.
  void verify_end(std::uint64_t offset, const std::byte* from, std::uint64_t bytes, bool kept) noexcept {
    ++blocks_;
    const bool is_new = !kept && written_.data()[offset / block_] != 0;
    if (!(is_new ? second_ : first_).is(offset, from, bytes) && wrong_ == kNone) wrong_ = offset;
  }

  static constexpr std::uint64_t kNone = ~std::uint64_t{0};
  [[nodiscard]] std::uint64_t wrong() const noexcept { return wrong_; }
  [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }

 private:
  static bool is_all_zero(const std::byte* from, std::uint64_t bytes) noexcept {
    for (std::uint64_t at = 0; at < bytes; ++at)
      if (from[at] != std::byte{0}) return false;
    return true;
  }

  Content first_;
  Content second_;
  std::uint64_t block_;
  bool is_zero_;
  bool foreign_;
  Table<std::uint8_t> written_;
  std::uint64_t blocks_ = 0;
  std::uint64_t wrong_ = kNone;
};

}  // namespace memtool::file
