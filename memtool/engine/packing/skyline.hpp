// Depth-first search for a packing within a capacity. Blocks are stacked upon a skyline over the sections of time. In a
// valley of it, a run of sections of one height between higher ones, something lies at the bottom of the first section
// and of the last: a block that begins or ends there and fits into the valley, or nothing, and then what the section
// loses is taken off what it has to spare. The valley with the fewest choices is decided first.
//
// For lower bounds by sections, canonical solutions and the parts into which a problem falls: Moffitt, "MiniMalloc: a
// lightweight memory allocator for hardware-accelerated machine learning", ASPLOS 2023. States that are known to fail
// are remembered, as transpositions are in games (Zobrist 1970).
#pragma once

#include <cstdint>
#include <vector>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

class SkylineSearch {
 public:
  // Which block of several is tried first: by length × size^power, and `noise` powers of two more or less.
  struct Preference {
    double power;
    double noise;
    std::uint64_t seed;
  };

  explicit SkylineSearch(const Instance& instance);

  // Packs into `capacity` with at most `limit` steps; none: it cannot be done. The packing is in offsets().
  Outcome run(std::uint64_t capacity, const Preference& preference, std::uint64_t limit, Work& work);
  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }

 private:
  // Sections [begin, end), of one height.
  struct Valley {
    Index begin;
    Index end;
    bool at_end = false;  // its last section is decided, not its first
    Index choices = 0;
    std::uint64_t raised = kNowhere;  // the height of that section when nothing lies at its bottom

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
  Lists members_, begins_, ends_;  // of each section: who is alive, begins, has ended when it begins
  std::vector<Index> lengths_;
  std::uint64_t capacity_ = 0;
  std::uint64_t known_capacity_ = 0;
  std::uint64_t left_ = 0;
  std::vector<std::uint64_t> heights_;      // of each section
  std::vector<std::uint64_t> totals_;       // of each section, the sizes that are not placed yet
  std::vector<Index> cuts_;                 // how many that are not placed span section s and s + 1
  std::vector<std::uint64_t> placed_keys_;  // of each section, what is placed and begins there
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> placed_;
  std::vector<double> weights_;
  std::vector<std::uint64_t> failed_;  // keys of states, at the place that a key says
};

}  // namespace memtool::packing
