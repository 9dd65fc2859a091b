#include "engine/recorded/log_reader.hpp"

#include <bit>
#include <charconv>
#include <unordered_map>

namespace memtool {
namespace {

constexpr std::uint64_t kNanosecondsPerMillisecond = 1'000'000;
constexpr std::uint32_t kMostThreads = 1 << 16;
constexpr std::size_t kMostCallSites = std::size_t{1} << 24;

// Numbers of a line, one after the other, with one space between.
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
        ++summary_.calls[kMalloc];
        if (event.address == 0)
          ++summary_.refused;
        else
          to.push_back(event);
        return true;
      case '-':
        if (!fields.hexadecimal(event.address) || !fields.at_end()) return false;
        event.kind = Seen::free;
        ++summary_.calls[kFree];
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

// Android's malloc_debug: "TID: malloc ADDRESS SIZE [BEGIN END]", the times in nanoseconds.
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
    CallName number = kMalloc;
    if (name == "malloc") {
      if (!fields.decimal(event.size)) return false;
    } else if (name == "free") {
      number = kFree;
      event.kind = Seen::free;
    } else if (name == "calloc") {
      number = kCalloc;
      event.kind = Seen::allocate_zeroed;
      std::uint64_t count = 0;
      if (!fields.decimal(count) || !fields.decimal(event.size)) return false;
      if (__builtin_mul_overflow(count, event.size, &event.size)) return false;
    } else if (name == "realloc") {
      number = kRealloc;
      event.kind = Seen::reallocate_end;
      if (!fields.address(old) || !fields.decimal(event.size)) return false;
    } else if (name == "memalign") {
      number = kMemalign;
      std::uint64_t alignment = 0;
      if (!fields.decimal(alignment) || !fields.decimal(event.size)) return false;
      if (std::has_single_bit(alignment)) event.log2_alignment = static_cast<std::uint8_t>(std::countr_zero(alignment));
    } else if (name == "thread_done") {
      number = kThreadDone;
    } else {
      return false;
    }
    std::uint64_t end = 0;
    if (!fields.at_end() && (!fields.decimal(event.ticks) || !fields.decimal(end))) return false;
    event.thread = number_of(thread);
    ++summary_.calls[number];
    if (number != kThreadDone) put(event, old, to);
    return true;
  }

  // A reallocation of nothing allocates, and one to nothing and of 0 bytes frees.
  void put(AddressEvent event, std::uint64_t old, std::vector<AddressEvent>& to) {
    if (event.kind == Seen::reallocate_end) {
      if (old == 0) {
        event.kind = Seen::allocate;
      } else if (event.address == 0 && event.size == 0) {
        event.kind = Seen::free;
        event.address = old;
      } else if (event.address != 0) {
        AddressEvent begin = event;
        begin.kind = Seen::reallocate_begin;
        begin.address = old;
        to.push_back(begin);
      }
    }
    if (event.address != 0)
      to.push_back(event);
    else
      ++(event.kind == Seen::free ? summary_.frees_of_null : summary_.refused);
  }

  std::uint32_t number_of(std::uint64_t thread) {
    if (thread == last_) return last_number_;
    auto known = numbers_.find(thread);
    if (known == numbers_.end()) {
      if (numbers_.size() + 1 >= kMostThreads) {
        ++summary_.crowded;
        return kMostThreads - 1;
      }
      known = numbers_.emplace(thread, static_cast<std::uint32_t>(numbers_.size())).first;
      summary_.threads = numbers_.size();
    }
    last_ = thread;
    last_number_ = known->second;
    return last_number_;
  }

  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;
  std::uint64_t last_ = std::numeric_limits<std::uint64_t>::max();
  std::uint32_t last_number_ = 0;
};

}  // namespace

void LogReader::append(std::string_view text, std::vector<AddressEvent>& to) {
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view part = text.substr(0, end);
    if (end == std::string_view::npos) {
      if (!is_too_long_) left_ += part;
      if (left_.size() > kLongestLine) {
        take_line(left_, 0, to);
        left_.clear();
        is_too_long_ = true;
      } else if (is_too_long_) {
        offset_ += part.size();
      }
      return;
    }
    if (is_too_long_) {
      offset_ += part.size() + 1;
      is_too_long_ = false;
    } else if (left_.empty()) {
      take_line(part, 1, to);
    } else {
      left_ += part;
      take_line(left_, 1, to);
      left_.clear();
    }
    text.remove_prefix(end + 1);
  }
}

void LogReader::take_line(std::string_view line, std::uint64_t ended_by, std::vector<AddressEvent>& to) {
  const std::uint64_t begin = offset_;
  offset_ += line.size() + ended_by;
  ++summary_.lines;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.empty() || take(line, to)) return;
  ++summary_.dropped;
  if (summary_.first_damage == std::numeric_limits<std::uint64_t>::max()) summary_.first_damage = begin;
}

void LogReader::finish(std::vector<AddressEvent>& to) {
  if (!left_.empty()) take_line(left_, 0, to);
  left_.clear();
}

std::unique_ptr<LogReader> LogReader::make(std::string_view name) {
  if (name == "heaptrack") return std::make_unique<HeaptrackReader>();
  if (name == "android") return std::make_unique<AndroidReader>();
  return nullptr;
}

}  // namespace memtool
