// The formats that LogReader reads, and the common parts of their readers.
#pragma once

#include <bit>
#include <charconv>
#include <cstdint>
#include <limits>
#include <memory>
#include <string_view>
#include <system_error>

#include "engine/recorded/log_reader.hpp"

namespace memtool {

using MakeLogReader = std::unique_ptr<LogReader>();
template <class R>
std::unique_ptr<LogReader> made() {
  return std::make_unique<R>();
}
extern MakeLogReader* const heaptrack_log;
extern MakeLogReader* const android_log;
extern MakeLogReader* const mtrace_log;
extern MakeLogReader* const malloc_lab_log;
extern MakeLogReader* const wee_alloc_log;
extern MakeLogReader* const valgrind_log;
extern MakeLogReader* const logalloc_log;
extern MakeLogReader* const calls_log;

inline constexpr std::string_view kSpace = " \t\n\r\f\v";
// Stands for a number beyond 64 bits. The matcher drops and counts events of such a size.
inline constexpr std::uint64_t kBeyond = std::numeric_limits<std::uint64_t>::max();

inline void skip_space(std::string_view& text) noexcept {
  const std::size_t begin = text.find_first_not_of(kSpace);
  text.remove_prefix(begin == std::string_view::npos ? text.size() : begin);
}

inline bool skip(std::string_view& text, std::string_view expected) noexcept {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

// Takes the digits at the beginning of a text; kBeyond if they exceed 64 bits. Returns false if there are none.
inline bool take_digits(std::string_view& text, std::uint64_t& value, int base = 10) noexcept {
  const auto [next, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error == std::errc::invalid_argument) return false;
  if (error != std::errc{}) value = kBeyond;
  text.remove_prefix(static_cast<std::size_t>(next - text.data()));
  return true;
}

// The same for hexadecimal digits after 0x.
inline bool take_hexadecimal(std::string_view& text, std::uint64_t& value) noexcept {
  std::string_view rest = text;
  if (!skip(rest, "0x") || !take_digits(rest, value, 16)) return false;
  text = rest;
  return true;
}

// Returns 0 if no alignment or an invalid one was requested.
inline std::uint8_t log2_of_alignment(std::uint64_t alignment) noexcept {
  constexpr std::uint64_t kLargest = std::uint64_t{1} << 57;
  if (!std::has_single_bit(alignment) || alignment > kLargest) return 0;
  return static_cast<std::uint8_t>(std::countr_zero(alignment));
}

}  // namespace memtool
