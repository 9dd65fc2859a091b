// What adaptors find out about the program that uses a heap, and the numbers by which they speak of it.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <string>

namespace memtool {

// One line, cut where it is longer than any that is meant to be read.
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

// One for all adaptors of a heap. Operations are numbered from 0 in the order in which the program asks for them, as
// the check pass numbers events: what an adaptor does by itself (a copy, a delayed free) has no number.
class Findings {
 public:
  [[nodiscard]] std::uint64_t operation() const noexcept { return next_ == 0 ? 0 : next_ - 1; }
  void begin_operation() noexcept { ++next_; }
  // A scope that ends frees all its objects at once; each is an operation of the program.
  void count_scope(std::uint64_t objects) noexcept {
    if (objects > scope_objects_) scope_objects_ = objects;
  }
  void end_scope() noexcept {
    next_ += scope_objects_;
    scope_objects_ = 0;
  }

  // Keeps the first finding: what comes after it may be its consequence.
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
