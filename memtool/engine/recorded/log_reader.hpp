// Recordings of other tools in text, one call a line, read in portions: what is too long for Python to read.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
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
  };

  virtual ~LogReader() = default;
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // Adds what the next portion of the text tells of; a line may lie in several. Throws std::bad_alloc.
  void append(std::string_view text, std::vector<AddressEvent>& to);
  // The text has ended: takes a last line that nothing ends. Throws std::bad_alloc.
  void finish(std::vector<AddressEvent>& to);
  [[nodiscard]] const Summary& summary() const noexcept { return summary_; }
  // Calls by their names, as the text has them: a line "NAME COUNT" for each.
  [[nodiscard]] std::string calls() const;

  // Name: that of an importer. Null for one that nobody reads here.
  static std::unique_ptr<LogReader> make(std::string_view name);

 protected:
  LogReader() = default;
  // Whether the line is one of the format; a line without its end, and not of white space alone.
  virtual bool take(std::string_view line, std::vector<AddressEvent>& to) = 0;

  void count(std::string_view call);
  // The number of a thread by what the text calls it, in the order in which they come.
  std::uint32_t number_of(std::uint64_t thread);
  // Notes a call unless it did nothing: `old` is the block that reallocate_end resizes, 0 of anything else. A
  // reallocation of nothing allocates, one to nothing and of 0 bytes frees.
  void put(AddressEvent event, std::uint64_t old, std::vector<AddressEvent>& to);
  // The same, of a thread that is numbered when it does something for the first time.
  void put_of(std::uint64_t thread, AddressEvent event, std::uint64_t old, std::vector<AddressEvent>& to);

  Summary summary_;

 private:
  static constexpr std::size_t kLongestLine = std::size_t{1} << 16;
  static constexpr std::size_t kMostNames = 256;
  void take_line(std::string_view line, std::uint64_t ended_by, std::vector<AddressEvent>& to);

  std::string left_;
  std::uint64_t offset_ = 0;
  bool is_too_long_ = false;
  std::vector<std::pair<std::string, std::uint64_t>> counts_;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;
  std::uint64_t last_ = 0;  // thread, if there was one
  std::uint32_t last_number_ = 0;
};

}  // namespace memtool
