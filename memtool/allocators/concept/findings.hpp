// What adaptors detect about the program that uses a heap, and the operation numbers in their reports.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>

namespace memtool {

// Formats one line, and truncates it at a length that no message should reach.
[[gnu::format(printf, 1, 2)]] inline std::string worded(const char* format, ...) {
  char text[390];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

[[nodiscard]] inline std::string in_bytes(unsigned long long count) {
  return worded("%llu byte%s", count, count == 1 ? "" : "s");
}

// All adaptors of a heap share one. Operations are numbered from 0 in the order of the program's requests, as the check
// pass numbers events. The calls that an adaptor makes itself (a copy, a delayed free) have no number.
class Findings {
 public:
  [[nodiscard]] std::uint64_t operation() const noexcept { return next_ == 0 ? 0 : next_ - 1; }
  void begin_operation() noexcept { ++next_; }
  // The end of a scope frees all its objects at once. Each of these frees counts as an operation of the program.
  void count_scope(std::uint64_t objects) noexcept {
    if (objects > scope_objects_) scope_objects_ = objects;
  }
  void end_scope() noexcept {
    next_ += scope_objects_;
    scope_objects_ = 0;
  }

  // Keeps only the first finding, because later ones may be its consequences.
  void add(std::string words) {
    if (first_.empty()) first_ = std::move(words);
  }
  [[nodiscard]] const std::string& first() const noexcept { return first_; }

 private:
  std::uint64_t next_ = 0;
  std::uint64_t scope_objects_ = 0;
  std::string first_;
};

}  // namespace memtool
