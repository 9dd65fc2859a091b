// Rounds blocks to whole cache lines.
#pragma once

#include <algorithm>
#include <array>

#include "allocators/concept/adaptor.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

class Pad final : public Layer {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "line",
       .summary = "bytes of a cache line",
       .default_value = 2,
       .maximum = 4,
       .choices = "16|32|64|128|256"},
  }};
  static constexpr AdaptorInfo info{
      .name = "pad",
      .summary = "Aligns each block to a cache line and pads it to whole lines, so no two blocks share a line.",
      .source =
          "Bolosky, Scott: False sharing and its effect on shared memory performance, SEDMS 1993; Berger et al.: "
          "Hoard, ASPLOS 2000",
      .cost = "up to line - 1 bytes of padding for each block, and the cost of alignment in the heap below",
      .when = "small objects that different threads write; what alignment costs or gains",
      .parameters = kParameters,
      .threads = Threads::as_below,
  };
  static Limits limits(const Parameters& parameters, const Limits& below, std::uint64_t) {
    const std::size_t line = bytes_of_line(parameters);
    if (below.largest_size < line || below.largest_alignment < line)
      throw CannotStand(
          worded("pad needs blocks of %zu bytes aligned to as many; the heap below serves up to %llu "
                 "bytes aligned to %llu",
                 line, static_cast<unsigned long long>(below.largest_size),
                 static_cast<unsigned long long>(below.largest_alignment)));
    Limits limits = below;
    limits.least_alignment = std::max<std::uint64_t>(below.least_alignment, line);
    if (below.largest_size != kUnlimited) limits.largest_size = bits::round_down(below.largest_size, line);
    return limits;
  }
  static std::uint64_t alignment_below(const Parameters& parameters, std::uint64_t alignment) {
    return std::max<std::uint64_t>(alignment, bytes_of_line(parameters));
  }
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters& parameters, Findings&) {
    return std::make_unique<Pad>(std::move(below), bytes_of_line(parameters));
  }

  Pad(std::unique_ptr<AnyHeap> below, std::size_t line) noexcept : Layer(std::move(below)), line_(line) {}

  void* allocate(std::size_t size, std::size_t alignment) override {
    return below().allocate(padded(size), aligned(alignment));
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    return below().allocate_zeroed(padded(size), aligned(alignment));
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    below().deallocate(block, padded(size), aligned(alignment));
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    return below().reallocate(block, padded(old_size), padded(new_size), aligned(alignment));
  }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const override {
    return below().usable_size(block, padded(size));
  }

 private:
  static std::size_t bytes_of_line(const Parameters& parameters) { return std::size_t{16} << parameters["line"]; }

  // If the result would exceed the largest possible size, returns `size`, which no heap can serve.
  [[nodiscard]] std::size_t padded(std::size_t size) const noexcept {
    const std::size_t bytes = bits::round_up(std::max<std::size_t>(size, 1), line_);
    return bytes < size ? size : bytes;
  }
  [[nodiscard]] std::size_t aligned(std::size_t alignment) const noexcept { return std::max(alignment, line_); }

  std::size_t line_;
};

}  // namespace memtool
