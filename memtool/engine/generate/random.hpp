// Integers drawn from laws. No floating-point arithmetic is involved, so a program and a seed give the same draws on
// every machine.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace memtool {

// Mixes the bits of a word, as splitmix64 does (Steele, Lea and Flood, OOPSLA 2014).
constexpr std::uint64_t mixed(std::uint64_t z) noexcept {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
  return z ^ z >> 31;
}

// splitmix64: the draws of kinds that need few.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept { return mixed(state_ += 0x9e3779b97f4a7c15ULL); }
  // Uniform in [0, bound).
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(next()) * bound >> 64);
  }

 private:
  std::uint64_t state_;
};

// xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", ACM TOMS 47, 2021), seeded by
// splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept {
    Draw seeds(seed);
    for (std::uint64_t& word : state_) word = seeds.next();
  }
  std::uint64_t next() noexcept {
    const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const std::uint64_t shifted = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // Uniform in [0, bound), with a bias of at most bound / 2^64, which no run is long enough to reveal.
  std::uint64_t below(std::uint64_t bound) noexcept {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(next()) * bound >> 64);
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

// A distribution in 64-bit words, as memtool/workload/language/tables.py writes it:
//   constant  0, value
//   uniform   1, low, high                              both included
//   discrete  2, n, n values, n thresholds, n aliases   Walker's alias method; a threshold is a probability
//                                                       times 2^64 - 1
//   quantile  3, low, high, kKnots knots below the median, kKnots above
//   ranges    4, n, n lows, n thresholds, n aliases, n widths
//                                                       one of n ranges, then uniform in [low, low + width)
//   cycle     5, n, n values, n counts                  so many of the first value, then of the next, in a cycle
//
// The quantile function is tabulated towards both ends. The probability of a tail, v / 2^64, runs through kOctaves
// octaves of kSteps equal steps; values between two knots are interpolated. Knots are in units of 2^-16. Tails beyond
// 2^-(kOctaves + 1) are cut off.
class Law {
 public:
  static constexpr unsigned kOctaves = 24;
  static constexpr unsigned kStepBits = 5;
  static constexpr std::uint64_t kKnots = (std::uint64_t{kOctaves} << kStepBits) + 1;

  explicit Law(const std::uint64_t* words) noexcept : words_(words) {}

  [[nodiscard]] std::uint64_t draw(Random& random) const noexcept {
    switch (words_[0]) {
      case 0:
        return words_[1];
      case 1:
        return words_[1] + random.below(words_[2] - words_[1] + 1);
      case 2:
        return words_[2 + column(random)];
      case 3:
        return quantile(random.next());
      case 5:
        return next_in_cycle();
      default:
        return in_range(random);
    }
  }

 private:
  // The upper half of the product chooses a column of the alias table; the lower half is the rest of the draw.
  [[nodiscard]] std::uint64_t column(Random& random) const noexcept {
    const std::uint64_t count = words_[1];
    const auto product = static_cast<unsigned __int128>(random.next()) * count;
    const auto chosen = static_cast<std::uint64_t>(product >> 64);
    const bool stays = static_cast<std::uint64_t>(product) <= words_[2 + count + chosen];
    return stays ? chosen : words_[2 + 2 * count + chosen];
  }

  [[nodiscard]] std::uint64_t next_in_cycle() const noexcept {
    const std::uint64_t count = words_[1];
    const std::uint64_t value = words_[2 + at_];
    if (++drawn_ == words_[2 + count + at_]) {
      drawn_ = 0;
      at_ = (at_ + 1) % count;
    }
    return value;
  }

  [[nodiscard]] std::uint64_t in_range(Random& random) const noexcept {
    const std::uint64_t range = column(random);
    return words_[2 + range] + random.below(words_[2 + 3 * words_[1] + range]);
  }

  [[nodiscard]] std::uint64_t quantile(std::uint64_t u) const noexcept {
    const bool upper = u >> 63 != 0;
    const std::uint64_t tail = (upper ? ~u : u) | 1;  // 63 bits, never 0
    const std::uint64_t* knots = words_ + 3 + (upper ? kKnots : 0);
    const unsigned octave = static_cast<unsigned>(std::countl_zero(tail)) - 1;
    std::uint64_t value = knots[0];
    if (octave < kOctaves) {
      const std::uint64_t mantissa = tail << (octave + 2);  // the bits behind the leading one, left-aligned
      const std::uint64_t step = mantissa >> (64 - kStepBits);
      const std::uint64_t fraction = mantissa << kStepBits >> 32;
      const std::uint64_t* knot = knots + ((std::uint64_t{kOctaves - 1 - octave} << kStepBits) + step);
      const auto rise = static_cast<__int128>(knot[1]) - static_cast<__int128>(knot[0]);
      value =
          static_cast<std::uint64_t>(static_cast<__int128>(knot[0]) + (rise * static_cast<__int128>(fraction) >> 32));
    }
    const std::uint64_t rounded = (value + (1u << 15)) >> 16;
    return rounded < words_[1] ? words_[1] : rounded > words_[2] ? words_[2] : rounded;
  }

  const std::uint64_t* words_;
  // In a cycle: the current value, and how often it has been drawn. It is mutable because a law is constant to its
  // callers.
  mutable std::uint64_t at_ = 0;
  mutable std::uint64_t drawn_ = 0;
};

}  // namespace memtool
