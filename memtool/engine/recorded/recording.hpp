// Reads the recording of one process (recorder/format.h), while it is being written or afterwards.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/recorded/address_events.hpp"
#include "recorder/format.h"

namespace memtool {

// The events of all threads in the order of time. Disk space is freed as the file is read.
class Recording {
 public:
  // `descriptor`: the file, open for reading and writing as long as this object exists. `beside`: for a recording in
  // memory, the path of the second file on the disk; empty if it cannot have one. Throws std::runtime_error with one
  // line if the file is not a recording, and std::system_error.
  explicit Recording(int descriptor, std::string beside = {});
  ~Recording();
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;

  // Appends, in order, at most `most` events that are earlier than `limit` (in ticks). An event that a thread stamped
  // before the limit but has not yet written would be out of order, so keep the limit behind the clock. Throws
  // std::system_error.
  void read(std::uint64_t limit, std::size_t most, std::vector<AddressEvent>& to);

  [[nodiscard]] const memtool_recording& head() const noexcept { return *head_; }
  // Number of chunks that a recorder did not write, or not to their end.
  [[nodiscard]] std::uint64_t damaged_chunks() const noexcept { return damaged_; }

  // If call stacks are recorded, `caller` of an event is the number of one. Replaces `to` by the stacks read since the
  // last call: for each its number, how it ends (memtool_stack_end), the number of its return addresses, and these, the
  // innermost first. Stacks beyond the first 2^20 stay unknown.
  void take_stacks(std::vector<std::uint64_t>& to);

 private:
  static constexpr std::size_t kMostStacks = std::size_t{1} << 20;
  struct Stream;
  class Body;
  struct Place {
    std::uint64_t offset;
    std::uint64_t bytes;
    std::uint32_t number;
  };
  struct Turn {
    std::uint64_t ticks;
    std::uint32_t thread;
    Stream* stream;
    bool operator>(const Turn& other) const noexcept {
      return ticks != other.ticks ? ticks > other.ticks : thread > other.thread;
    }
  };

  void find_chunks();
  bool open_chunk(const Place& place);
  int descriptor_of(const Place& place);
  void queue(Stream& stream);
  void drop(Stream& stream);
  bool decode(Stream& stream);
  void read_body(Stream& stream, unsigned kind, Body& body, AddressEvent event);
  void read_stack(Body& body);
  static Seen seen_at(std::uint64_t moment, Body& body);

  int descriptor_;
  std::string beside_path_;
  int beside_ = -1;  // the file on the disk; -1: it has not been needed yet
  const memtool_recording* head_;
  std::uint32_t chunks_ = 0;                       // number of known chunks
  std::uint64_t end_ = sizeof(memtool_recording);  // end of the last of them
  std::uint64_t damaged_ = 0;
  std::vector<Place> unopened_;  // assigned to a thread that has not begun them
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<Stream*> waiting_;  // without a next event so far
  std::vector<std::uint64_t> fresh_stacks_;
  std::unordered_set<std::uint64_t> stacks_;
  std::priority_queue<Turn, std::vector<Turn>, std::greater<>> turns_;
};

}  // namespace memtool
