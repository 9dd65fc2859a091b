// Builds the event image from canonical events: dense slots, which are reused, and the header from which a plan is
// made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/events/events.hpp"
#include "engine/events/object_table.hpp"

namespace memtool {

// The position of a mark.
struct MarkPlace {
  std::uint64_t operations;  // operations done before it
  std::uint64_t live_bytes;
  std::uint64_t word;  // its index in the image
};

// Words are written to the file as they arrive, and the table of objects drops dead objects. So the memory needed
// depends on the live objects, not on the length of the trace. The image has no events of threads, because it is
// replayed on one thread.
class ImageBuilder {
 public:
  // `descriptor`: an empty, seekable file that stays open as long as the builder exists. Throws std::system_error.
  ImageBuilder(Touch touch, int descriptor);
  // Events must arrive in order. Throws std::runtime_error with one line for an impossible sequence (a free of a dead
  // object), and std::system_error if the file cannot be written.
  void append(const TraceEvent* events, std::size_t count);
  // Completes the file and returns its header. Throws as append() does.
  const ImageHeader& finish();
  // In the order of the events.
  [[nodiscard]] const std::vector<MarkPlace>& marks() const noexcept { return marks_; }
  [[nodiscard]] double live_sum() const noexcept { return live_sum_; }
  [[nodiscard]] std::uint64_t filled() const noexcept { return filled_; }
  [[nodiscard]] std::uint64_t refilled() const noexcept { return refilled_; }

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  struct Object {
    std::uint64_t size;
    std::uint32_t slot;
    std::uint8_t log2_alignment;
  };

  void take(const TraceEvent& event);
  void allocate(const TraceEvent& event);
  void write(const TraceEvent& event);
  void deallocate(const TraceEvent& event);
  void reallocate(const TraceEvent& event);
  void end_scope();
  void close_scope();
  void begin_epilogue();
  void begin();

  std::uint32_t take_slot();

  void put(std::uint64_t word);
  void put_sized(Kind kind, Kind wide, std::uint32_t slot, std::uint64_t size, unsigned log2_alignment);
  void flush();
  void count_operation() noexcept;
  void grow(std::uint64_t size);
  void note_lifo(std::uint64_t object) noexcept;
  void note_fifo(std::uint64_t object, std::uint64_t expected) noexcept;

  ImageHeader head_{};
  double live_sum_ = 0;         // sum of the live bytes after each operation before the epilogue
  std::uint64_t filled_ = 0;    // peak of the live bytes before the first free
  std::uint64_t refilled_ = 0;  // peak of the live bytes after it
  int descriptor_;
  std::vector<std::uint64_t> buffer_;  // words that are not in the file yet
  std::uint64_t flushed_ = 0;          // number of words in the file
  ObjectTable<Object> objects_;
  std::uint64_t freed_ = 0;
  std::vector<std::uint32_t> free_slots_;    // the most recently freed slot is reused first
  std::vector<std::uint64_t> youngest_;      // live objects in order of birth, as long as frees are LIFO
  std::vector<std::uint64_t> ended_scopes_;  // words that still need the length of their scope's deallocations
  std::vector<MarkPlace> marks_;
  std::uint64_t open_scopes_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t live_objects_ = 0;
  bool in_epilogue_ = false;
};

}  // namespace memtool
