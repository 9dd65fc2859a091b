// A log-linear histogram of ticks: exact below 128, then 128 buckets for each octave, so that a bucket is at most 1/128
// (0.8 %) wide. memtool/passes/histogram.py declares the same layout and reads it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace memtool {

class Histogram {
 public:
  static constexpr unsigned kSubBits = 7;
  static constexpr unsigned kMostBits = 40;  // larger values are counted in the last bucket; the maximum is exact
  static constexpr std::size_t kBuckets = std::size_t{kMostBits - kSubBits + 1} << kSubBits;

  // `counts` has kBuckets zeroed entries and must outlive the histogram.
  explicit Histogram(std::uint64_t* counts) noexcept : counts_(counts) {}

  void record(std::uint64_t ticks) noexcept {
    if (ticks > maximum_) maximum_ = ticks;
    ++counts_[bucket(ticks)];
  }
  [[nodiscard]] std::uint64_t maximum() const noexcept { return maximum_; }

  static constexpr std::size_t bucket(std::uint64_t ticks) noexcept {
    if (ticks >= std::uint64_t{1} << kMostBits) return kBuckets - 1;
    if (ticks < std::uint64_t{1} << kSubBits) return static_cast<std::size_t>(ticks);
    const unsigned octave = 63u - static_cast<unsigned>(std::countl_zero(ticks)) - kSubBits;
    return (std::size_t{octave} << kSubBits) + static_cast<std::size_t>(ticks >> octave);
  }

 private:
  std::uint64_t* counts_;
  std::uint64_t maximum_ = 0;
};

}  // namespace memtool
