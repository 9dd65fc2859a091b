// Recordings of other tools in text, one call a line, read in portions: what is too long for Python to read.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/recorded/address_events.hpp"

namespace memtool {

class LogReader {
 public:
  // What came of reading so far; without counts of single calls.
  struct Summary {
    std::uint64_t lines = 0;
    std::uint64_t dropped = 0;                                               // lines that could not be read
    std::uint64_t first_damage = std::numeric_limits<std::uint64_t>::max();  // their first one's offset; or none
    std::uint64_t threads = 0;
    std::uint64_t refused = 0;  // calls that returned nothing
    std::uint64_t frees_of_null = 0;
    std::uint64_t crowded = 0;         // calls of threads beyond what events can tell apart, which are told as one
    std::uint64_t is_interpreted = 0;  // 1: aggregates, from which no events can be had
    std::uint64_t calls[8]{};          // by the numbers of CallName
  };
  enum CallName : std::uint8_t { kMalloc, kCalloc, kRealloc, kMemalign, kFree, kThreadDone };

  virtual ~LogReader() = default;
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // Adds what the next portion of the text tells of; a line may lie in several. Throws std::bad_alloc.
  void append(std::string_view text, std::vector<AddressEvent>& to);
  // The text has ended: takes a last line that nothing ends. Throws std::bad_alloc.
  void finish(std::vector<AddressEvent>& to);
  [[nodiscard]] const Summary& summary() const noexcept { return summary_; }

  // Name: that of an importer. Null for one that nobody reads here.
  static std::unique_ptr<LogReader> make(std::string_view name);

 protected:
  LogReader() = default;
  // Whether the line is one of the format; a line without its end.
  virtual bool take(std::string_view line, std::vector<AddressEvent>& to) = 0;
  Summary summary_;

 private:
  static constexpr std::size_t kLongestLine = std::size_t{1} << 16;
  void take_line(std::string_view line, std::uint64_t ended_by, std::vector<AddressEvent>& to);

  std::string left_;
  std::uint64_t offset_ = 0;
  bool is_too_long_ = false;
};

}  // namespace memtool
