// The thread image: the events of each thread by themselves, for replays on several threads.
//
// A thread of the trace is a lane of the image. Within a lane the words are those of an image, with slots of its own,
// so that threads share no table; where the next event of an *object* is another thread's, the block is handed over
// through a cell, filled once and emptied by being read once. These are the only edges between lanes, besides starts
// and joins: they go by objects, not by addresses, so the order in which the recorded program reused memory adds none.
// Cells are not reused within a replay: whoever would fill one again had to wait until it was read, which would be an
// edge.
//
//   ThreadImageHeader, chunks of words, LaneEntry x lanes, ChunkEntry x chunks, Run x runs
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/events/events.hpp"
#include "engine/events/object_table.hpp"

namespace memtool {

struct ThreadImageHeader {
  static constexpr std::uint64_t kMagic = 0x32524854'4d4d544dULL;  // "MTMMTHR2"
  std::uint64_t magic;
  std::uint64_t touch;
  std::uint64_t lanes;
  std::uint64_t lanes_offset;  // bytes from the start of the image, as the next two
  std::uint64_t chunks_offset;
  std::uint64_t runs_offset;
  std::uint64_t chunks;
  std::uint64_t runs;       // in recorded order: the words that a lane has before another lane's turn comes
  std::uint64_t body_runs;  // of them before the epilogue
  std::uint64_t cells;
  std::uint64_t operations;
  std::uint64_t epilogue_operations;
  std::uint64_t peak_operation;  // operations done when live bytes first reach their peak, in recorded order
  std::uint64_t warm_lanes;      // that are there when what is measured begins; 0: it begins at once
};
static_assert(sizeof(ThreadImageHeader) == 14 * 8);

struct LaneEntry {
  static constexpr std::uint64_t kRoot = ~std::uint64_t{0};
  // What a lane is when what is measured begins: not there yet, there, or waited for and gone.
  enum Stage : std::uint64_t { kLater = 0, kThere = 1, kGone = 2 };
  std::uint64_t first_chunk = 0;
  std::uint64_t chunks = 0;
  std::uint64_t words = 0;
  std::uint64_t body_words = 0;  // of them before the epilogue
  std::uint64_t warm_words = 0;  // of those before what is measured: they only warm the heap
  std::uint64_t slots = 0;
  std::uint64_t operations = 0;            // with those of the epilogue
  std::uint64_t body_operations = 0;       // those that are measured
  std::uint64_t started_by = kRoot;        // lane, or kRoot: runs from the beginning
  std::uint64_t remote_deallocations = 0;  // frees whose object's last event was another lane's
  std::uint64_t joined = 0;                // 1: another lane waits for its end
  std::uint64_t stage = kLater;            // when what is measured begins
};

struct ChunkEntry {
  std::uint64_t offset;  // bytes from the start of the image
  std::uint64_t words;   // an event lies whole in one chunk
};

// Bits 0-15 lane, bits 16-63 words.
struct Run {
  std::uint64_t bits;
  static constexpr Run make(std::uint64_t lane, std::uint64_t words) noexcept { return {lane | words << 16}; }
  [[nodiscard]] constexpr std::uint64_t lane() const noexcept { return bits & 0xffff; }
  [[nodiscard]] constexpr std::uint64_t words() const noexcept { return bits >> 16; }
};

// Reads the events twice, in order: first to find which objects change threads after which event, for the event does
// not know; then to write the lanes.
class ThreadImageBuilder {
 public:
  // `descriptor` and `spool`: two empty files, seekable, open as long as the builder is. The second keeps what is not
  // in its place yet. Throws std::system_error.
  ThreadImageBuilder(Touch touch, int descriptor, int spool);
  // All events, before the first append(). Throws std::runtime_error for a sequence that cannot be.
  void scan(const TraceEvent* events, std::size_t count);
  // The same events again. Throws std::runtime_error, and std::system_error when the file cannot take more.
  void append(const TraceEvent* events, std::size_t count);
  // Completes the file and returns its head. Throws as append() does.
  const ThreadImageHeader& finish();

 private:
  struct Sighting {
    std::uint64_t event;
    std::uint32_t thread;
  };
  struct Object {
    std::uint64_t size;
    std::uint64_t cell;
    std::uint32_t slot;
    std::uint16_t lane;  // whose event was the last
    std::uint8_t log2_alignment;
  };
  struct Lane {
    LaneEntry entry{};
    std::vector<std::uint64_t> words;  // not in the file yet
    std::vector<ChunkEntry> chunks;
    std::vector<std::uint32_t> free_slots;
    std::uint64_t next_cell = 0;
    std::uint64_t end_cell = 0;
    bool seen = false;
  };

  static bool concerns_object(Kind kind) noexcept;
  Lane& lane_of(std::uint64_t thread);
  void take(const TraceEvent& event);
  void take_object(const TraceEvent& event, Lane& lane);
  void allocate(const TraceEvent& event, Lane& lane);
  void between_threads(const TraceEvent& event, Lane& lane);
  void begin();
  void begin_epilogue();
  void receive(Object& object, std::uint64_t number, Lane& lane, std::uint16_t to);
  void publish(Object& object, Lane& lane);
  std::uint32_t take_slot(Lane& lane);
  std::uint64_t take_cell(Lane& lane);
  void put(Lane& lane, std::uint64_t word);
  void put_sized(Lane& lane, Kind kind, Kind wide, const Object& object);
  void flush(Lane& lane);
  void write(const void* data, std::size_t bytes);
  void spool_runs();
  void copy_runs();
  void end_run();
  void count(Lane& lane, std::uint64_t grown, std::uint64_t shrunk);

  ThreadImageHeader head_{};
  int descriptor_;
  int spool_;
  std::uint64_t offset_ = 0;

  // Of scan():
  std::unique_ptr<ObjectTable<Sighting>> sightings_ = std::make_unique<ObjectTable<Sighting>>();
  std::vector<std::uint64_t> handed_;  // a bit for each event of an object: its next event is another thread's
  std::uint64_t scanned_ = 0;

  // Of append():
  ObjectTable<Object> objects_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Run> runs_;  // that are not in the spool yet
  std::uint64_t run_lane_ = 0;
  std::uint64_t run_words_ = 0;
  std::uint64_t appended_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t peak_live_bytes_ = 0;
  bool in_epilogue_ = false;
};

}  // namespace memtool
