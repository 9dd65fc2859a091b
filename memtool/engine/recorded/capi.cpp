// The C ABI for turning observed operations into canonical events (engine/recorded/binding.py).
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/events/guarded.hpp"
#include "engine/recorded/log_reader.hpp"
#include "engine/recorded/matcher.hpp"
#include "engine/recorded/recording.hpp"

namespace memtool {
namespace {

// Has a handle show what a call has left in a list of it.
template <class Row>
void show(const std::vector<Row>& rows, const Row** first, std::uint64_t* count) noexcept {
  *first = rows.data();
  *count = rows.size();
}

}  // namespace

struct MatcherHandle {
  AddressMatcher matcher;
  MatchedPortion portion;
  std::vector<AddressEvent> live;
};

struct RecordingHandle {
  RecordingHandle(int descriptor, const char* beside) : recording(descriptor, beside) {}
  Recording recording;
  std::vector<AddressEvent> seen;
  std::vector<std::uint64_t> stacks;
};

struct LogReaderHandle {
  std::unique_ptr<LogReader> reader;
  std::vector<AddressEvent> seen;
  std::string calls;
};

struct MatchedColumns {
  std::uint64_t count;
  const TraceEvent* events;
  const std::uint64_t* ticks;
  const std::uint64_t* callers;
  const std::uint64_t* resident;
};

extern "C" {
#pragma GCC visibility push(default)

MatcherHandle* memtool_matcher_open() {
  MatcherHandle* handle = nullptr;
  guarded([&] { handle = new MatcherHandle; });
  return handle;
}

// The canonical events lie in the columns until the next call. Returns 0, or 2 if memory is exhausted.
std::uint32_t memtool_matcher_append(MatcherHandle* handle, const AddressEvent* seen, std::uint64_t count,
                                     MatchedColumns* columns) {
  return guarded([&] {
    MatchedPortion& portion = handle->portion;
    portion.clear();
    handle->matcher.append(std::span(seen, count), portion);
    *columns = {portion.events.size(), portion.events.data(), portion.ticks.data(), portion.callers.data(),
                portion.resident.data()};
  });
}

// The live blocks, as allocations at one moment, lie at `*seen` until the next call. Returns 0, or 2 if memory is
// exhausted.
std::uint32_t memtool_matcher_live(MatcherHandle* handle, std::uint64_t ticks, const AddressEvent** seen,
                                   std::uint64_t* count) {
  return guarded([&] {
    handle->live.clear();
    handle->matcher.put_live(ticks, handle->live);
    show(handle->live, seen, count);
  });
}

void memtool_matcher_counts(const MatcherHandle* handle, MatchCounts* counts) {
  *counts = handle->matcher.counts();
}

void memtool_matcher_close(MatcherHandle* handle) {
  delete handle;
}

// See LogReader. Returns null for a format that it does not read, or if memory is exhausted.
LogReaderHandle* memtool_log_reader_open(const char* name) {
  try {
    std::unique_ptr<LogReader> reader = LogReader::make(name);
    return reader == nullptr ? nullptr : new LogReaderHandle{std::move(reader), {}, {}};
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

// The operations in the next portion of the text lie at `*seen` until the next call. An empty portion marks the end of
// the text. Returns 0, or 2 if memory is exhausted.
std::uint32_t memtool_log_reader_append(LogReaderHandle* handle, const char* text, std::uint64_t bytes,
                                        const AddressEvent** seen, std::uint64_t* count) {
  return guarded([&] {
    handle->seen.clear();
    if (bytes > 0)
      handle->reader->append({text, bytes}, handle->seen);
    else
      handle->reader->finish(handle->seen);
    show(handle->seen, seen, count);
  });
}

void memtool_log_reader_summary(const LogReaderHandle* handle, LogReader::Summary* summary) {
  *summary = handle->reader->summary();
}

// The number of calls by name, one line "NAME COUNT" each, valid until the next call. Null if memory is exhausted.
const char* memtool_log_reader_calls(LogReaderHandle* handle) {
  try {
    handle->calls = handle->reader->calls();
    return handle->calls.c_str();
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void memtool_log_reader_close(LogReaderHandle* handle) {
  delete handle;
}

// See Recording. Returns null, and one line in 400 bytes, if the file is not a recording.
RecordingHandle* memtool_recording_open(int descriptor, const char* beside, char* message) {
  RecordingHandle* handle = nullptr;
  guarded([&] { handle = new RecordingHandle(descriptor, beside); }, message);
  return handle;
}

// The operations lie at `*seen` until the next call. Returns 0; otherwise 2 and a message.
std::uint32_t memtool_recording_read(RecordingHandle* handle, std::uint64_t limit, std::uint64_t most,
                                     const AddressEvent** seen, std::uint64_t* count, char* message) {
  return guarded(
      [&] {
        handle->seen.clear();
        handle->recording.read(limit, most, handle->seen);
        show(handle->seen, seen, count);
      },
      message);
}

// Words in the form of Recording::take_stacks lie at `*words` until the next call. Returns their number.
std::uint64_t memtool_recording_stacks(RecordingHandle* handle, const std::uint64_t** words) {
  handle->recording.take_stacks(handle->stacks);
  *words = handle->stacks.data();
  return handle->stacks.size();
}

const memtool_recording* memtool_recording_head(const RecordingHandle* handle) {
  return &handle->recording.head();
}

std::uint64_t memtool_recording_damaged(const RecordingHandle* handle) {
  return handle->recording.damaged_chunks();
}

void memtool_recording_close(RecordingHandle* handle) {
  delete handle;
}

#pragma GCC visibility pop
}  // extern "C"

}  // namespace memtool
