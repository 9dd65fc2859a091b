// Turns addresses into objects: the canonical events of a program's observed operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/events/events.hpp"
#include "engine/recorded/address_events.hpp"

namespace memtool {

// Columns of a portion of a trace, in parallel with its canonical events.
struct MatchedPortion {
  std::vector<TraceEvent> events;
  std::vector<std::uint64_t> ticks;
  std::vector<std::uint64_t> callers;
  std::vector<std::uint64_t> resident;  // of frees

  void clear() noexcept;
};

// What a matcher has kept, repaired and dropped.
struct MatchCounts {
  std::uint64_t allocations;
  std::uint64_t frees;
  std::uint64_t reallocations;
  std::uint64_t
      freed_by_other_thread;      // freed or resized by another thread than the one that allocated or last resized it
  std::uint64_t unmatched_frees;  // of blocks that are not live: dropped
  std::uint64_t unmatched_reallocations;  // of blocks that are not live: kept as allocations
  std::uint64_t
      implicit_frees;       // an allocation at the address of a live block, which must have been freed without a record
  std::uint64_t refused;    // requests for which the allocator had no memory
  std::uint64_t reordered;  // events with an earlier time than their predecessor
  std::uint64_t oversized;  // requests too large for a canonical event: dropped
  std::uint64_t threads;
  std::uint64_t live_objects;
  std::uint64_t live_bytes;
  std::uint64_t peak_live_bytes;
  std::uint64_t peak_live_objects;
  std::uint64_t total_bytes;
  std::uint64_t mapped_bytes;  // by the program itself, now and at the peak
  std::uint64_t peak_mapped_bytes;
};

// Memory is needed for the live blocks, not for the trace. Every input is accepted: impossible events are repaired or
// dropped, and counted.
class AddressMatcher {
 public:
  AddressMatcher();
  void append(std::span<const AddressEvent> seen, MatchedPortion& to);
  [[nodiscard]] const MatchCounts& counts() const noexcept { return counts_; }
  // Appends the live blocks, as allocations of thread 0 at one moment, in the order of birth.
  void put_live(std::uint64_t ticks, std::vector<AddressEvent>& to) const;

 private:
  static constexpr std::uint64_t kMostThreads = 1 << 16;
  struct Block {
    std::uint64_t address;  // 0: the slot is free
    std::uint64_t object;
    std::uint64_t size;
    std::uint64_t caller;  // call site of the allocation
    std::uint32_t thread;  // thread that allocated or last resized it
    std::uint8_t log2_alignment;
  };
  struct Moving {
    Block block;
    bool is_under_way;
  };

  void take(const AddressEvent& seen, MatchedPortion& to);
  void allocate(const AddressEvent& seen, MatchedPortion& to);
  void free(const AddressEvent& seen, MatchedPortion& to);
  void end_reallocation(const AddressEvent& seen, MatchedPortion& to);
  // A size that no event can have: the block stays live.
  void drop_reallocation(const AddressEvent& seen, const Block& block, MatchedPortion& to);
  void put(const AddressEvent& seen, Kind kind, std::uint64_t object, std::uint64_t size, MatchedPortion& to) const;
  void put_free(const AddressEvent& seen, const Block& block, std::uint64_t resident, MatchedPortion& to);
  void grow_live(std::uint64_t bytes, std::uint64_t objects) noexcept;
  Moving& moving(std::uint32_t thread);

  // An open-addressing table with linear probing. A removal shifts entries back, so there are no tombstones.
  [[nodiscard]] std::size_t place_of(std::uint64_t address) const noexcept;
  [[nodiscard]] bool remove(std::uint64_t address, Block& block) noexcept;
  void insert(const Block& block);
  void rehash();

  std::vector<Block> table_;
  std::size_t mask_;
  std::size_t held_ = 0;
  std::vector<Moving> moving_;  // indexed by thread
  std::uint64_t objects_ = 0;
  std::uint64_t last_ticks_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t count_ = 0;
  MatchCounts counts_{};
};

}  // namespace memtool
