// Reads text recordings of other tools, one call on each line, in portions. They are too long for Python.
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
  // The result of reading so far, without counts of single calls.
  struct Summary {
    std::uint64_t lines = 0;
    std::uint64_t dropped = 0;  // number of lines that could not be parsed
    std::uint64_t first_damage =
        std::numeric_limits<std::uint64_t>::max();  // offset of the first such line, or this value
    std::uint64_t threads = 0;
    std::uint64_t refused = 0;  // calls that returned no memory
    std::uint64_t frees_of_null = 0;
    std::uint64_t crowded = 0;  // calls of threads beyond those that events can distinguish; they count as one thread
    std::uint64_t is_interpreted = 0;  // 1: aggregates, from which no events can be reconstructed
    std::uint64_t misaligned = 0;      // allocations with an alignment that is no power of two, which is left out
  };

  virtual ~LogReader() = default;
  LogReader(const LogReader&) = delete;
  LogReader& operator=(const LogReader&) = delete;

  // Appends the operations in the next portion of the text; portions may split lines. Throws std::bad_alloc.
  void append(std::string_view text, std::vector<AddressEvent>& to);
  // The text has ended: parses a last line that has no line end. Throws std::bad_alloc.
  void finish(std::vector<AddressEvent>& to);
  [[nodiscard]] const Summary& summary() const noexcept { return summary_; }
  // The number of calls by their names in the text: one line "NAME COUNT" each.
  [[nodiscard]] std::string calls() const;

  // `name` is that of an importer. Returns null if there is no reader for it here.
  static std::unique_ptr<LogReader> make(std::string_view name);

 protected:
  LogReader() = default;
  // Returns whether the line, given without its end, matches the format. It is never only white space.
  virtual bool take(std::string_view line, std::vector<AddressEvent>& to) = 0;

  void count(std::string_view call);
  // Numbers the threads of the text in the order in which they appear.
  std::uint32_t number_of(std::uint64_t thread);
  // Records a call unless it did nothing. `old` is the block that reallocate_end resizes, otherwise 0. A reallocation
  // of nothing is an allocation; one to nothing with size 0 is a free.
  void put(AddressEvent event, std::uint64_t old, std::vector<AddressEvent>& to);
  // Notes the alignment that was requested; 0 and 1 request none.
  void align(AddressEvent& event, std::uint64_t alignment) noexcept;
  // The same for a thread that gets a number with its first operation.
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
  std::uint64_t last_ = 0;  // the previous call's thread, if there was one
  std::uint32_t last_number_ = 0;
};

}  // namespace memtool
