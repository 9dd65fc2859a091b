#include "engine/recorded/log_reader.hpp"

#include <algorithm>

#include "engine/recorded/log_formats.hpp"

namespace memtool {
namespace {

constexpr std::uint32_t kMostThreads = 1 << 16;

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
  if (line.find_first_not_of(kSpace) == std::string_view::npos || take(line, to)) return;
  ++summary_.dropped;
  if (summary_.first_damage == std::numeric_limits<std::uint64_t>::max()) summary_.first_damage = begin;
}

void LogReader::finish(std::vector<AddressEvent>& to) {
  if (!left_.empty()) take_line(left_, 0, to);
  left_.clear();
}

void LogReader::count(std::string_view call) {
  for (auto& [name, times] : counts_) {
    if (name == call) {
      ++times;
      return;
    }
  }
  if (counts_.size() < kMostNames) counts_.emplace_back(call, 1);
}

std::string LogReader::calls() const {
  std::string lines;
  for (const auto& [name, times] : counts_) lines += name + ' ' + std::to_string(times) + '\n';
  return lines;
}

std::uint32_t LogReader::number_of(std::uint64_t thread) {
  if (thread == last_ && !numbers_.empty()) return last_number_;
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

void LogReader::put(AddressEvent event, std::uint64_t old, std::vector<AddressEvent>& to) {
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
      begin.size = 0;
      to.push_back(begin);
    }
  }
  if (event.address != 0)
    to.push_back(event);
  else
    ++(event.kind == Seen::free ? summary_.frees_of_null : summary_.refused);
}

void LogReader::align(AddressEvent& event, std::uint64_t alignment) noexcept {
  event.log2_alignment = log2_of_alignment(alignment);
  if (alignment > 1 && event.log2_alignment == 0 && event.address != 0) ++summary_.misaligned;
}

void LogReader::put_of(std::uint64_t thread, AddressEvent event, std::uint64_t old, std::vector<AddressEvent>& to) {
  const bool frees = event.kind == Seen::reallocate_end && old != 0 && event.size == 0;
  if (event.address != 0 || frees) event.thread = number_of(thread);
  put(event, old, to);
}

std::unique_ptr<LogReader> LogReader::make(std::string_view name) {
  const std::pair<std::string_view, MakeLogReader*> makers[] = {
      {"heaptrack", heaptrack_log},   {"android", android_log},     {"mtrace", mtrace_log},
      {"malloc-lab", malloc_lab_log}, {"wee-alloc", wee_alloc_log}, {"valgrind", valgrind_log},
      {"logalloc", logalloc_log},     {"calls", calls_log},
  };
  const auto* const maker = std::ranges::find(makers, name, &std::pair<std::string_view, MakeLogReader*>::first);
  return maker == std::end(makers) ? nullptr : maker->second();
}

}  // namespace memtool
