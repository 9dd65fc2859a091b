// The contents of a file: words that depend on their offset, so that a missing, old or misplaced word is detected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/generate/random.hpp"

namespace memtool::file {

constexpr std::uint64_t kWord = sizeof(std::uint64_t);

// The word at an offset, a multiple of kWord, of the first or the second writing. No two words are equal, and none is 0
// like a hole.
enum class Writing : std::uint64_t { first = 1, second = 2 };
class Content {
 public:
  Content(std::uint64_t seed, Writing writing) noexcept
      : base_(mixed(seed * 2 + static_cast<std::uint64_t>(writing))) {}

  [[nodiscard]] std::uint64_t word(std::uint64_t offset) const noexcept { return mixed(base_ + offset + 1) | 1; }
  void fill(std::uint64_t offset, std::byte* to, std::uint64_t bytes) const noexcept {
    for (std::uint64_t at = 0; at < bytes; at += kWord) {
      const std::uint64_t value = word(offset + at);
      std::memcpy(to + at, &value, kWord);
    }
  }
  [[nodiscard]] bool is(std::uint64_t offset, const std::byte* from, std::uint64_t bytes) const noexcept {
    for (std::uint64_t at = 0; at < bytes; at += kWord) {
      std::uint64_t value;
      std::memcpy(&value, from + at, kWord);
      if (value != word(offset + at)) return false;
    }
    return true;
  }

 private:
  std::uint64_t base_;
};

// The least that a program does with the data that it reads.
inline std::uint64_t sum_of(const std::byte* from, std::uint64_t bytes) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t at = 0; at < bytes; at += kWord) {
    std::uint64_t value;
    std::memcpy(&value, from + at, kWord);
    sum += value;
  }
  return sum;
}

}  // namespace memtool::file
