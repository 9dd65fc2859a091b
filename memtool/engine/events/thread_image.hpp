// The thread image: the events of each thread, separated, for replays on several threads.
//
// Each thread of the trace is a lane of the image. The words of a lane are those of an image with slots of its own, so
// threads share no table. Where the next event of an *object* belongs to another thread, a cell hands the block over:
// it is filled once, and reading it once empties it. Apart from starts and joins, these are the only edges between
// lanes. They follow objects, not addresses, so the order in which the recorded program reused memory adds no edges. A
// replay uses each cell only once. A writer that used a cell again would have to wait until it was read, which would be
// an edge.
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
  std::uint64_t lanes_offset;  // bytes from the start of the image, like the next two
  std::uint64_t chunks_offset;
  std::uint64_t runs_offset;
  std::uint64_t chunks;
  std::uint64_t runs;       // in recorded order; a run is the words of a lane before another lane's turn
  std::uint64_t body_runs;  // number of runs before the epilogue
  std::uint64_t cells;
  std::uint64_t operations;
  std::uint64_t epilogue_operations;
  std::uint64_t peak_operation;  // number of operations done when live bytes first reach their peak, in recorded order
  std::uint64_t warm_lanes;      // number of lanes that exist when measuring begins; 0: it begins at once
};
static_assert(sizeof(ThreadImageHeader) == 14 * 8);

struct LaneEntry {
  static constexpr std::uint64_t kRoot = ~std::uint64_t{0};
  // The state of a lane when measuring begins: not started yet, running, or joined.
  enum Stage : std::uint64_t { kLater = 0, kThere = 1, kGone = 2 };
  std::uint64_t first_chunk = 0;
  std::uint64_t chunks = 0;
  std::uint64_t words = 0;
  std::uint64_t body_words = 0;  // number of words before the epilogue
  std::uint64_t warm_words = 0;  // number of words before the measured part, which only warm the heap
  std::uint64_t slots = 0;
  std::uint64_t operations = 0;            // with the epilogue
  std::uint64_t body_operations = 0;       // measured operations
  std::uint64_t started_by = kRoot;        // the lane that starts it, or kRoot: it runs from the beginning
  std::uint64_t remote_deallocations = 0;  // frees of objects whose last event was another lane's
  std::uint64_t joined = 0;                // 1: another lane waits for its end
  std::uint64_t stage = kLater;            // when measuring begins
};

struct ChunkEntry {
  std::uint64_t offset;  // bytes from the start of the image
  std::uint64_t words;   // no event is split between two chunks
};

// Bits 0-15 lane, bits 16-63 words.
struct Run {
  std::uint64_t bits;
  static constexpr Run make(std::uint64_t lane, std::uint64_t words) noexcept { return {lane | words << 16}; }
  [[nodiscard]] constexpr std::uint64_t lane() const noexcept { return bits & 0xffff; }
  [[nodiscard]] constexpr std::uint64_t words() const noexcept { return bits >> 16; }
};

// Reads the events twice, in order. The first reading finds after which events an object changes threads, because an
// event does not show this. The second writes the lanes.
class ThreadImageBuilder {
 public:
  // `descriptor` and `spool`: two empty, seekable files that stay open as long as the builder exists. The spool holds
  // data whose place in the image is not known yet. Throws std::system_error.
  ThreadImageBuilder(Touch touch, int descriptor, int spool);
  // Takes all events before the first append(). Throws std::runtime_error for an impossible sequence.
  void scan(const TraceEvent* events, std::size_t count);
  // Takes the same events again. Throws std::runtime_error, and std::system_error if the file cannot be written.
  void append(const TraceEvent* events, std::size_t count);
  // Completes the file and returns its header. Throws as append() does.
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
    std::uint16_t lane;  // lane of its last event
    std::uint8_t log2_alignment;
  };
  struct Lane {
    LaneEntry entry{};
    std::vector<std::uint64_t> words;  // words that are not in the file yet
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

  // Members of scan():
  std::unique_ptr<ObjectTable<Sighting>> sightings_ = std::make_unique<ObjectTable<Sighting>>();
  std::vector<std::uint64_t> handed_;  // one bit for each event of an object: its next event belongs to another thread
  std::uint64_t scanned_ = 0;

  // Members of append():
  ObjectTable<Object> objects_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<Run> runs_;  // runs that are not in the spool yet
  std::uint64_t run_lane_ = 0;
  std::uint64_t run_words_ = 0;
  std::uint64_t appended_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t peak_live_bytes_ = 0;
  bool in_epilogue_ = false;
};

}  // namespace memtool
