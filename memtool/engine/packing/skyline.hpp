// A depth-first search for a packing within a capacity. Blocks are stacked on a skyline over the sections of time. A
// valley is a run of sections of one height between higher ones. At the bottom of its first section, and of its last,
// there lies either a block that begins or ends there and fits into the valley, or no block; then the space that the
// section loses is deducted from its slack. The valley with the fewest choices is decided first.
//
// Lower bounds by sections, canonical solutions and the decomposition into parts follow Moffitt, "MiniMalloc: a
// lightweight memory allocator for hardware-accelerated machine learning", ASPLOS 2023. States that are known to fail
// are remembered, like transpositions in games (Zobrist 1970).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

class SkylineSearch {
 public:
  // The order in which blocks are tried: by length × size^power, varied by up to `noise` powers of two.
  struct Preference {
    double power;
    double noise;
    std::uint64_t seed;
  };

  explicit SkylineSearch(const Instance& instance);

  // Packs into `capacity` with at most `limit` steps; Outcome::none: there is no packing. offsets() returns the
  // packing.
  Outcome run(std::uint64_t capacity, const Preference& preference, std::uint64_t limit, Work& work);
  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }

 private:
  // Sections [begin, end), all of one height.
  struct Valley {
    Index begin;
    Index end;
    bool at_end = false;  // decides its last section, not its first
    Index choices = 0;
    std::uint64_t raised = kNowhere;  // height of that section if no block lies at its bottom

    [[nodiscard]] Index section() const noexcept { return at_end ? end - 1 : begin; }
  };

  Outcome search(Index begin, Index end);
  Outcome search_valley(Index begin, Index end);
  Outcome decide(Index begin, Index end, const Valley& valley);
  [[nodiscard]] std::uint64_t key_of(Index begin, Index end);
  [[nodiscard]] Valley narrowest(Index begin, Index end);
  void count_choices(Valley& valley, Index most);
  [[nodiscard]] bool may_lie(Index block, const Valley& valley) const;
  [[nodiscard]] std::uint64_t raised_height(const Valley& valley);
  void place(Index block);
  void take_back(Index block);
  void spend(std::uint64_t steps) noexcept { left_ -= left_ < steps ? left_ : steps; }

  const Instance& instance_;
  Lists members_, begins_, ends_;  // for each section, the blocks that are alive, begin, or have ended when it begins
  std::vector<Index> lengths_;
  std::uint64_t capacity_ = 0;
  std::uint64_t known_capacity_ = 0;
  std::uint64_t left_ = 0;
  std::vector<std::uint64_t> heights_;      // for each section
  std::vector<std::uint64_t> totals_;       // for each section, the sum of the sizes still to be placed
  std::vector<Index> cuts_;                 // number of unplaced blocks that span section s and s + 1
  std::vector<std::uint64_t> placed_keys_;  // for each section, a key of the placed blocks that begin there
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> placed_;
  std::vector<double> weights_;
  std::vector<std::uint64_t> failed_;  // keys of failed states, at the index given by the key
};

}  // namespace memtool::packing
