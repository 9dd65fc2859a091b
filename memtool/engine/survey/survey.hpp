// The requests of a trace: everything that `memtool inspect` counts, in one pass, with memory for the live objects
// only.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "engine/events/events.hpp"
#include "engine/events/object_table.hpp"

namespace memtool {

inline constexpr std::size_t kLevels = 64;  // number of classes of a logarithm to base 2

// Figures of the operations before the epilogue. A sum that may exceed 64 bits takes two words, the lower one first.
// Sizes are those of the allocations.
struct SurveyFigures {
  std::uint64_t operations;
  std::uint64_t allocations;
  std::uint64_t reallocations;
  std::uint64_t zeroed;
  std::uint64_t frees;
  std::uint64_t empty;         // allocations of 0 bytes
  std::uint64_t remote_frees;  // frees by another thread than the allocating one
  std::uint64_t temporary;     // freed by the allocating thread before its next request
  std::uint64_t bulk_frees;    // frees in runs of at least kBulk without another operation between them
  std::uint64_t grown;         // reallocations to a larger size
  std::uint64_t shrunk;        // reallocations to a smaller size
  std::uint64_t total_bytes[2];
  std::uint64_t allocated_bytes[2];  // the same without reallocations
  std::uint64_t live_sum[2];         // sum of the live bytes after each operation
  std::uint64_t peak_live_bytes;
  std::uint64_t peak_live_objects;
  std::uint64_t smallest_size;
  std::uint64_t largest_size;
  std::uint64_t smallest_resize;
  std::uint64_t largest_resize;
  std::uint64_t threads;
  std::uint64_t nanoseconds;  // at the last event; 0 if the source records no times
  std::uint64_t has_rounded_sizes;
  std::uint64_t crowded_allocations;  // of call sites beyond those that are distinguished
  std::uint64_t sizes[kLevels];
  std::uint64_t lifetimes[kLevels];  // in allocations, of objects that are freed
  std::uint64_t alignments[kLevels];
  std::uint64_t by_lifetime[kLevels][kLevels];  // [size][lifetime], without objects of 0 bytes
};

// Rows of lists. All members are u64, as Python reads them.
struct CountRow {
  std::uint64_t value;
  std::uint64_t count;
};
struct CourseRow {
  std::uint64_t operations;
  std::uint64_t live_bytes;
  std::uint64_t live_objects;
  std::uint64_t nanoseconds;
};
struct SiteRow {
  std::uint64_t caller;
  std::uint64_t allocations;  // with reallocations
  std::uint64_t bytes;
  std::uint64_t temporary;
  std::uint64_t left_objects;  // never freed
  std::uint64_t left_bytes;
};
struct ThreadFigures {
  std::uint64_t thread;
  std::uint64_t operations;
  std::uint64_t allocations;
  std::uint64_t bytes;
  std::uint64_t frees;
  std::uint64_t remote_frees;  // frees of blocks that others allocated
};

class Survey {
 public:
  // Appends events in order. `nanoseconds` and `callers` are null, or as long as the events. Throws std::runtime_error
  // with one line for an impossible sequence.
  void append(const TraceEvent* events, const std::int64_t* nanoseconds, const std::uint64_t* callers,
              std::size_t count);

  [[nodiscard]] SurveyFigures figures() const;
  // Exact for a limited number of different sizes. Beyond it new sizes are rounded down to 7 significant bits.
  [[nodiscard]] std::vector<CountRow> sizes() const;
  // How often an object was resized, for the objects that were.
  [[nodiscard]] std::vector<CountRow> chains() const;
  // One row every so many operations, so that there are fewer than 1,024, and a last one at the end.
  [[nodiscard]] std::vector<CourseRow> course() const;
  [[nodiscard]] std::vector<SiteRow> sites() const;
  [[nodiscard]] std::vector<ThreadFigures> threads() const;

 private:
  using Sum = unsigned __int128;
  static constexpr std::size_t kSmallSizes = 4096;
  static constexpr std::size_t kMostSizes = std::size_t{1} << 20;
  static constexpr std::size_t kMostSites = std::size_t{1} << 18;
  static constexpr std::size_t kMostPoints = 1024;
  static constexpr std::uint64_t kBulk = 64;

  struct Object {
    std::uint64_t first_size;
    std::uint64_t size;
    std::uint32_t resizes;
    std::uint32_t site;
    std::uint16_t thread;
  };
  struct Thread {
    ThreadFigures figures{};
    std::uint64_t latest = 0;  // number of the object that it requested last, + 1; 0: none
  };

  void allocate(const TraceEvent& event, std::uint64_t caller);
  void reallocate(const TraceEvent& event, std::uint64_t caller);
  void deallocate(const TraceEvent& event);
  void count_size(std::uint64_t size);
  void end_run_of_frees() noexcept;
  void note_point(std::uint64_t nanoseconds);
  std::uint32_t site_of(std::uint64_t caller);

  SurveyFigures figures_{};
  Sum total_ = 0;
  Sum allocated_ = 0;
  Sum live_sum_ = 0;
  std::uint64_t live_bytes_ = 0;
  std::uint64_t live_objects_ = 0;
  std::uint64_t run_of_frees_ = 0;
  std::uint64_t step_ = 1;
  bool is_over_ = false;
  ObjectTable<Object> objects_;
  std::vector<Thread> threads_;
  std::vector<CourseRow> course_;
  std::array<std::uint64_t, kSmallSizes> small_sizes_{};
  std::unordered_map<std::uint64_t, std::uint64_t> other_sizes_;
  std::unordered_map<std::uint64_t, std::uint64_t> chains_;  // of dead objects
  std::unordered_map<std::uint64_t, std::uint32_t> site_numbers_;
  std::vector<SiteRow> sites_;
};

}  // namespace memtool
