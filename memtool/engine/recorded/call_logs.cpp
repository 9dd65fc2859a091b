// Logs of calls in C notation, such as "malloc(32) = 0x55d0": those of Valgrind, Firefox, ltrace and bpftrace.
#include <algorithm>
#include <array>
#include <string>
#include <unordered_map>

#include "engine/recorded/log_formats.hpp"

namespace memtool {
namespace {

bool is_word(char letter) noexcept {
  return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') || (letter >= '0' && letter <= '9') ||
         letter == '_';
}

std::string_view take_word(std::string_view& text, std::string_view besides = "") noexcept {
  std::size_t end = 0;
  while (end < text.size() && (is_word(text[end]) || besides.find(text[end]) != std::string_view::npos)) ++end;
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::string_view take_token(std::string_view& text) noexcept {
  const std::string_view token = text.substr(0, text.find_first_of(kSpace));
  text.remove_prefix(token.size());
  return token;
}

std::string_view stripped(std::string_view text) noexcept {
  skip_space(text);
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// Skips the version of a symbol, as in free@GLIBC_2.2.5.
void skip_version(std::string_view& text) noexcept {
  if (skip(text, "@")) take_word(text, ".");
}

struct Call {
  std::string_view name;
  std::string_view arguments;
  std::string_view result;  // empty: there is none
};

// Takes NAME(ARGUMENTS) and, if present, = RESULT. The only parentheses allowed inside are those of "(nil)".
bool take_call(std::string_view& text, Call& call) noexcept {
  if (text.empty() || !is_word(text[0]) || (text[0] >= '0' && text[0] <= '9')) return false;
  call.name = take_word(text, ".:");
  skip_version(text);
  if (!skip(text, "(")) return false;
  std::size_t end = text.find_first_of("()");
  while (end != std::string_view::npos && text.substr(end).starts_with("(nil)"))
    end = text.find_first_of("()", end + std::string_view("(nil)").size());
  if (end == std::string_view::npos || text[end] != ')') return false;
  call.arguments = text.substr(0, end);
  text.remove_prefix(end + 1);
  std::string_view rest = text;
  skip_space(rest);
  if (!skip(rest, "=")) return true;
  skip_space(rest);
  call.result = take_token(rest);
  if (!call.result.empty()) text = rest;
  return true;
}

// Takes the number at the beginning of a text: decimal, or hexadecimal after 0x.
bool take_number(std::string_view& text, std::uint64_t& value) noexcept {
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    std::string_view rest = text.substr(2);
    if (take_digits(rest, value, 16)) {
      text = rest;
      return true;
    }
  }
  return take_digits(text, value);
}

// The numbers in a list of arguments: the first of each argument that has one. (nil) and null count as 0.
struct Numbers {
  explicit Numbers(std::string_view arguments) noexcept {
    while (count < values.size()) {
      const std::size_t comma = arguments.find(',');
      take(arguments.substr(0, comma));
      if (comma == std::string_view::npos) return;
      arguments.remove_prefix(comma + 1);
    }
  }
  void take(std::string_view argument) noexcept {
    const std::string_view said = stripped(argument);
    const std::size_t digit = said.find_first_of("0123456789");
    if (said == "(nil)" || said == "nil" || said == "null" || said == "NULL") {
      values[count++] = 0;
    } else if (digit != std::string_view::npos) {
      std::string_view text = said.substr(digit);
      take_number(text, values[count++]);
    }
  }
  std::array<std::uint64_t, 4> values{};
  std::size_t count = 0;
};

std::uint64_t product(std::uint64_t left, std::uint64_t right) noexcept {
  std::uint64_t value = 0;
  return __builtin_mul_overflow(left, right, &value) ? kBeyond : value;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) noexcept {
  return std::ranges::find(names, name) != names.end();
}

bool is_new(std::string_view name) noexcept {
  return name.starts_with("_Znw") || name.starts_with("_Zna");
}

bool is_free(std::string_view name) noexcept {
  return is_one_of(name,
                   {"free", "cfree", "free_sized", "free_aligned_sized", "__builtin_delete", "__builtin_vec_delete"}) ||
         name.starts_with("_ZdlPv") || name.starts_with("_ZdaPv");
}

// Whether a text looks like a call of a malloc, so that failing to parse it counts as damage.
bool is_ours(std::string_view text) noexcept {
  const std::string_view name = take_word(text);
  return text.starts_with('(') && (is_new(name) || name.starts_with("_Zdl") || name.starts_with("_Zda") ||
                                   is_one_of(name, {"malloc", "calloc", "realloc", "reallocarray", "free", "memalign",
                                                    "aligned_alloc", "posix_memalign", "valloc", "pvalloc"}));
}

class CallReader : public LogReader {
 protected:
  // Records a call if it belongs to a malloc. Returns false if it cannot be parsed.
  bool note(std::uint64_t thread, const Call& call, std::uint64_t ticks, std::vector<AddressEvent>& to) {
    const std::string_view name = call.name;
    const Numbers numbers(call.arguments);
    const auto& value = numbers.values;
    AddressEvent event;
    event.ticks = ticks;
    event.kind = Seen::allocate;
    event.size = value[0];
    std::uint64_t old = 0;
    std::size_t needed = 1;
    if (std::string_view result = call.result; !take_number(result, event.address)) event.address = 0;
    if (is_free(name)) {
      event.kind = Seen::free;
      event.address = value[0];
      event.size = 0;
    } else if (is_new(name)) {
      const bool is_aligned = name.find("St11align_val_t") != std::string_view::npos && numbers.count > 1;
      if (is_aligned) align(event, value[1]);
    } else if (name == "calloc") {
      event.kind = Seen::allocate_zeroed;
      event.size = product(value[0], value[1]);
      needed = 2;
    } else if (name == "realloc" || name == "reallocarray") {
      event.kind = Seen::reallocate_end;
      old = value[0];
      needed = name == "realloc" ? 2 : 3;
      event.size = needed == 2 ? value[1] : product(value[1], value[2]);
    } else if (is_one_of(name, {"memalign", "aligned_alloc", "posix_memalign"})) {
      needed = 2;
      if (numbers.count < needed) return false;
      event.size = value[numbers.count - 1];
      align(event, value[numbers.count - 2]);
    } else if (!is_one_of(name, {"malloc", "valloc", "pvalloc", "__builtin_new", "__builtin_vec_new"})) {
      return true;
    }
    if (numbers.count < needed || event.address == kBeyond || old == kBeyond) return false;
    count(name);
    put_of(thread, event, old, to);
    return true;
  }
};

// Valgrind's --trace-malloc=yes: "--PID-- malloc(10) = 0x4A33040", among other output of Valgrind and of the program.
class ValgrindReader final : public CallReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    if (!skip(line, "--")) return true;
    std::uint64_t process = 0;
    if (!take_digits(line, process) || !skip(line, "-- ")) return false;
    // A reallocation from or to nothing also names the call that it turns into.
    std::string_view becomes = line;
    std::string_view said = line;
    Call call;
    if (line.starts_with("realloc(") && take_call(becomes, call)) {
      const Numbers numbers(call.arguments);
      const std::string_view now = numbers.count != 2 ? "" : numbers.values[0] == 0 ? "malloc(" : "free(";
      if (!now.empty() && becomes.starts_with(now) && numbers.values[0] * numbers.values[1] == 0) said = becomes;
    }
    call = {};
    if (take_call(said, call)) return note(0, call, 0, to);
    return !is_ours(line);
  }
};

// Firefox's logalloc: "PID TID malloc(32)=0x7f00"; older logs omit the thread.
class LogallocReader final : public CallReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    std::uint64_t process = 0;
    std::uint64_t thread = 0;
    if (!take_digits(line, process) || !skip(line, " ")) return false;
    if (std::string_view rest = line; take_digits(rest, thread) && skip(rest, " "))
      line = rest;
    else
      thread = 0;
    Call call;
    return take_call(line, call) && stripped(line).empty() && thread != kBeyond && note(thread, call, 0, to);
  }
};

// ltrace and one-line scripts of bpftrace. The call may be preceded by the thread, as "[pid 7]" or a whole number, and
// by the time in seconds. A call that another thread interrupts takes two lines.
class CallsReader final : public CallReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    std::uint64_t thread = 0;
    std::uint64_t ticks = 0;
    if (!take_thread(line, thread) || !take_time(line, ticks)) return false;
    skip_library(line);
    if (take_begun(line, thread)) return true;
    if (std::string_view rest = line; skip(rest, "<... ")) return take_resumed(rest, thread, ticks, to);
    std::string_view rest = line;
    Call call;
    return take_call(rest, call) ? note(thread, call, ticks, to) : !is_ours(line);
  }

  // Returns false for a number that cannot be a thread. Leaves text that does not begin with a thread unchanged.
  static bool take_thread(std::string_view& line, std::uint64_t& thread) noexcept {
    std::string_view rest = line;
    if (skip(rest, "[pid ")) {
      if (!take_digits(rest, thread) || !skip(rest, "]")) return true;
    } else {
      if (!take_digits(rest, thread)) return true;
      const std::size_t before = rest.size();
      skip_space(rest);
      if (!skip(rest, ":") && !skip(rest, ",") && rest.size() == before) {
        thread = 0;  // it is the time or other text
        return true;
      }
    }
    skip_space(rest);
    line = rest;
    return thread != kBeyond;
  }

  static bool take_time(std::string_view& line, std::uint64_t& ticks) noexcept {
    constexpr double kNanoseconds = 1e9;
    constexpr double kMostSeconds = 1e10;  // larger values do not fit into 64 bits of nanoseconds
    const std::string_view number = line.substr(0, line.find_first_not_of("0123456789."));
    if (number.empty() || number.find('.') == std::string_view::npos) return true;
    double seconds = 0;
    const auto [next, error] = std::from_chars(number.data(), number.data() + number.size(), seconds);
    std::string_view rest = line.substr(number.size());
    const bool has_space = !rest.empty() && kSpace.find(rest[0]) != std::string_view::npos;
    skip_space(rest);
    const bool has_sign = skip(rest, ":") || skip(rest, ",");
    const std::size_t before = rest.size();
    skip_space(rest);
    if (!has_space && !(has_sign && rest.size() < before)) return true;
    if (error != std::errc{} || next != number.data() + number.size() || !(seconds < kMostSeconds)) return false;
    ticks = static_cast<std::uint64_t>(seconds * kNanoseconds);
    line = rest;
    return true;
  }

  // Skips the library or program that ltrace names, as in "app->malloc(".
  static void skip_library(std::string_view& line) noexcept {
    const std::string_view token = line.substr(0, line.find_first_of(" \t\n\r\f\v()"));
    if (const std::size_t arrow = token.rfind("->"); arrow != std::string_view::npos) line.remove_prefix(arrow + 2);
  }

  bool take_begun(std::string_view line, std::uint64_t thread) {
    line = stripped(line);
    constexpr std::string_view kUnfinished = "<unfinished ...>";
    if (!line.ends_with(kUnfinished)) return false;
    line.remove_suffix(kUnfinished.size());
    const std::string_view name = take_word(line);
    skip_version(line);
    if (name.empty() || !skip(line, "(")) return false;
    line = stripped(line);
    if (line.ends_with(',')) line.remove_suffix(1);
    if (line.size() <= kLongestArguments && begun_.size() < kMostBegun)
      begun_[thread] = {std::string(name), std::string(line)};
    return true;
  }

  bool take_resumed(std::string_view line, std::uint64_t thread, std::uint64_t ticks, std::vector<AddressEvent>& to) {
    const auto begun = begun_.find(thread);
    const std::size_t sign = line.find('=');
    if (begun == begun_.end() || sign == std::string_view::npos) return false;
    const auto [name, arguments] = std::move(begun->second);
    begun_.erase(begun);
    line.remove_prefix(sign + 1);
    skip_space(line);
    return note(thread, {name, arguments, take_token(line)}, ticks, to);
  }

  static constexpr std::size_t kMostBegun = 1 << 16;
  static constexpr std::size_t kLongestArguments = 256;
  std::unordered_map<std::uint64_t, std::pair<std::string, std::string>> begun_;
};

}  // namespace

MakeLogReader* const valgrind_log = made<ValgrindReader>;
MakeLogReader* const logalloc_log = made<LogallocReader>;
MakeLogReader* const calls_log = made<CallsReader>;

}  // namespace memtool
