// Logs that identify blocks by addresses or numbers, and calls by a word or a sign.
#include <charconv>

#include "engine/recorded/log_formats.hpp"

namespace memtool {
namespace {

constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr std::size_t kMostCallSites = std::size_t{1} << 24;

// The numbers of a line, separated by one space.
class Fields {
 public:
  explicit Fields(std::string_view line) noexcept : at_(line.data()), end_(line.data() + line.size()) {}
  [[nodiscard]] bool hexadecimal(std::uint64_t& value) noexcept { return number(value, 16); }
  [[nodiscard]] bool decimal(std::uint64_t& value) noexcept { return number(value, 10); }
  [[nodiscard]] bool address(std::uint64_t& value) noexcept {
    skip_space();
    if (end_ - at_ < 3 || at_[0] != '0' || at_[1] != 'x') return false;
    at_ += 2;
    return number(value, 16);
  }
  [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }

 private:
  void skip_space() noexcept {
    while (at_ != end_ && *at_ == ' ') ++at_;
  }
  bool number(std::uint64_t& value, int base) noexcept {
    skip_space();
    const auto [next, error] = std::from_chars(at_, end_, value, base);
    at_ = next;
    return error == std::errc{} && (next == end_ || *next == ' ');
  }
  const char* at_;
  const char* end_;
};

// Raw recordings of heaptrack, versions 2 and 3: "+ SIZE SITE ADDRESS", "- ADDRESS", "c MILLISECONDS", "t CALLER
// PARENT" (the next call site), all hexadecimal. They have no threads, and a reallocation is a free and an allocation.
class HeaptrackReader final : public LogReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    if (line.size() < 2 || line[1] != ' ') return line == "A" || line.front() == '#';
    Fields fields(line.substr(2));
    AddressEvent event;
    event.ticks = now_;
    std::uint64_t value = 0;
    std::uint64_t parent = 0;
    switch (line[0]) {
      case '+':
        if (!fields.hexadecimal(event.size)) return false;
        if (fields.at_end()) {
          summary_.is_interpreted = 1;  // the number of a class of allocations
          return true;
        }
        if (!fields.hexadecimal(value) || !fields.hexadecimal(event.address) || !fields.at_end()) return false;
        event.caller = value > 0 && value <= callers_.size() ? callers_[value - 1] : 0;
        event.kind = Seen::allocate;
        count("malloc");
        if (event.address == 0)
          ++summary_.refused;
        else
          to.push_back(event);
        return true;
      case '-':
        if (!fields.hexadecimal(event.address) || !fields.at_end()) return false;
        event.kind = Seen::free;
        count("free");
        if (event.address == 0)
          ++summary_.frees_of_null;
        else
          to.push_back(event);
        return true;
      case 'c':
        if (!fields.hexadecimal(value) || value >= std::uint64_t{1} << 40) return false;
        now_ = value * kNanosecondsPerMillisecond;
        return true;
      case 't':
        if (!fields.hexadecimal(value) || !fields.hexadecimal(parent)) return false;
        if (callers_.size() < kMostCallSites) callers_.push_back(value);
        return true;
      case 'a':
      case 'i':
      case 's':
        summary_.is_interpreted = 1;
        return true;
      case 'v':
      case 'x':
      case 'X':
      case 'I':
      case 'm':
      case 'R':
      case 'S':
      case '#':
        return true;
      default:
        return false;
    }
  }

  std::vector<std::uint64_t> callers_;
  std::uint64_t now_ = 0;
};

// Android's malloc_debug: "TID: malloc ADDRESS SIZE [BEGIN END]", with times in nanoseconds.
class AndroidReader final : public LogReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    const std::size_t colon = line.find(": ");
    if (colon == std::string_view::npos) return false;
    std::uint64_t thread = 0;
    if (Fields of_thread(line.substr(0, colon)); !of_thread.decimal(thread) || !of_thread.at_end()) return false;
    const std::string_view call = line.substr(colon + 2);
    const std::size_t space = call.find(' ');
    if (space == std::string_view::npos) return false;
    const std::string_view name = call.substr(0, space);
    Fields fields(call.substr(space));
    AddressEvent event;
    if (!fields.address(event.address)) return false;
    event.kind = Seen::allocate;
    std::uint64_t old = 0;
    if (name == "malloc") {
      if (!fields.decimal(event.size)) return false;
    } else if (name == "free") {
      event.kind = Seen::free;
    } else if (name == "calloc") {
      event.kind = Seen::allocate_zeroed;
      std::uint64_t count = 0;
      if (!fields.decimal(count) || !fields.decimal(event.size)) return false;
      if (__builtin_mul_overflow(count, event.size, &event.size)) return false;
    } else if (name == "realloc") {
      event.kind = Seen::reallocate_end;
      if (!fields.address(old) || !fields.decimal(event.size)) return false;
    } else if (name == "memalign") {
      std::uint64_t alignment = 0;
      if (!fields.decimal(alignment) || !fields.decimal(event.size)) return false;
      align(event, alignment);
    } else if (name == "thread_done") {
    } else {
      return false;
    }
    std::uint64_t end = 0;
    if (!fields.at_end() && (!fields.decimal(event.ticks) || !fields.decimal(end))) return false;
    event.thread = number_of(thread);
    count(name);
    if (name != "thread_done") put(event, old, to);
    return true;
  }
};

// glibc's mtrace: "@ MODULE:[CALLER] + ADDRESS SIZE", "-", "<" and ">" for a reallocation, "!" refused.
class MtraceReader final : public LogReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    if (line.starts_with("= ")) return true;  // Start, End
    AddressEvent event;
    if (line.starts_with("@ ") && !take_caller(line, event.caller)) return false;
    if (line.size() < 2 || line[1] != ' ') return false;
    const char sign = line[0];
    line.remove_prefix(2);
    if (!take_address(line, event.address)) return false;
    const bool has_size = !line.empty() && line.find_first_not_of(kSpace) != std::string_view::npos;
    if (has_size && !(skip(line, " ") && (take_hexadecimal(line, event.size) || skip(line, "0")))) return false;
    if (line.find_first_not_of(kSpace) != std::string_view::npos) return false;
    return note(sign, event, has_size, to);
  }

  bool note(char sign, AddressEvent event, bool has_size, std::vector<AddressEvent>& to) {
    if (sign == '<') {
      moving_ = event.address;
      return true;
    }
    std::uint64_t old = 0;
    if (sign == '-') {
      event.kind = Seen::free;
    } else if (!has_size) {
      return false;
    } else if (sign == '+') {
      event.kind = Seen::allocate;
    } else if (sign == '!') {
      event.kind = Seen::reallocate_end;
      old = std::exchange(event.address, 0);
    } else if (sign == '>') {
      event.kind = Seen::reallocate_end;
      old = std::exchange(moving_, 0);
    } else {
      return false;
    }
    count(sign == '-' ? "free" : sign == '+' ? "malloc" : "realloc");
    put_of(0, event, old, to);
    return true;
  }

  static bool take_caller(std::string_view& line, std::uint64_t& caller) noexcept {
    const std::size_t end = line.rfind("] ");
    const std::size_t begin = end == std::string_view::npos ? end : line.rfind('[', end);
    if (begin == std::string_view::npos) return false;
    std::string_view text = line.substr(begin + 1, end - begin - 1);
    line.remove_prefix(end + 2);
    return take_hexadecimal(text, caller) && text.empty();
  }

  static bool take_address(std::string_view& line, std::uint64_t& address) noexcept {
    const bool is_in_brackets = skip(line, "(");
    if (skip(line, "nil"))
      address = 0;
    else if (!take_hexadecimal(line, address) || address == kBeyond)
      return false;
    return !is_in_brackets || skip(line, ")");
  }

  std::uint64_t moving_ = 0;
};

// The malloc lab: four numbers, then "a ID SIZE", "r ID SIZE", "f ID". The header adds nothing to the requests.
class MallocLabReader final : public LogReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    skip_space(line);
    std::uint64_t number = 0;
    if (head_ > 0) {
      std::string_view rest = line;
      if (take_digits(rest, number) && rest.find_first_not_of(kSpace) == std::string_view::npos) {
        --head_;
        return true;
      }
    }
    head_ = 0;
    const char call = line[0];
    std::string_view rest = line.substr(1);
    AddressEvent event;
    if (!take_number(rest, event.address) || event.address >= kBeyond) return false;
    ++event.address;  // IDs count from 0, which is not a valid address
    std::uint64_t old = 0;
    if (call == 'f') {
      event.kind = Seen::free;
    } else if (!take_number(rest, event.size)) {
      return false;
    } else if (call == 'a') {
      event.kind = Seen::allocate;
    } else if (call == 'r') {
      event.kind = Seen::reallocate_end;
      old = event.address;
    } else {
      return false;
    }
    count({&call, 1});
    put_of(0, event, old, to);
    return true;
  }

  static bool take_number(std::string_view& text, std::uint64_t& value) noexcept {
    const std::size_t before = text.size();
    skip_space(text);
    return text.size() < before && take_digits(text, value) &&
           (text.empty() || kSpace.find(text[0]) != std::string_view::npos);
  }

  int head_ = 4;
};

// wee_alloc: "Alloc(SIZE)," and "Free(INDEX),", where the index counts allocations from 0.
class WeeAllocReader final : public LogReader {
 private:
  bool take(std::string_view line, std::vector<AddressEvent>& to) override {
    skip_space(line);
    line = line.substr(0, line.find_last_not_of(kSpace) + 1);
    if (line == "[" || line == "]") return true;
    AddressEvent event;
    std::uint64_t number = 0;
    const bool allocates = skip(line, "Alloc(");
    if ((!allocates && !skip(line, "Free(")) || !take_digits(line, number) || !skip(line, ")")) return false;
    if (!line.empty() && line != ",") return false;
    if (allocates) {
      event.kind = Seen::allocate;
      event.address = ++allocations_;
      event.size = number;
    } else if (number == kBeyond) {
      return false;
    } else {
      event.kind = Seen::free;
      event.address = number + 1;
    }
    count(allocates ? "Alloc" : "Free");
    put_of(0, event, 0, to);
    return true;
  }

  std::uint64_t allocations_ = 0;
};

}  // namespace

MakeLogReader* const heaptrack_log = made<HeaptrackReader>;
MakeLogReader* const android_log = made<AndroidReader>;
MakeLogReader* const mtrace_log = made<MtraceReader>;
MakeLogReader* const malloc_lab_log = made<MallocLabReader>;
MakeLogReader* const wee_alloc_log = made<WeeAllocReader>;

}  // namespace memtool
