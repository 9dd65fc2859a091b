// A depth-first search for a packing within a capacity. It places blocks from the bottom to the top: each block as low
// as the placed blocks allow, and none below its predecessor. It explores other paths than the search over skylines
// (skyline.hpp). Each of the two quickly solves instances that the other does not.
//
// Canonical solutions, dominance, inference by sections, the parts into which a problem falls, and the static orders:
// Moffitt, "MiniMalloc: a lightweight memory allocator for hardware-accelerated machine learning", ASPLOS 2023.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "engine/packing/instance.hpp"

namespace memtool::packing {

class CanonicalSearch {
 public:
  // The criteria, first to third, by which blocks of the same lowest offset are ordered; the greatest value comes
  // first.
  enum class Weight { crowd, area, length, level };  // level: the power of two of the length
  using Order = std::array<Weight, 3>;

  explicit CanonicalSearch(const Instance& instance);

  // Packs into `capacity` with at most `limit` steps; Outcome::none: there is no packing. offsets() returns the
  // packing.
  Outcome run(std::uint64_t capacity, const Order& order, std::uint64_t limit, Work& work);
  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }

 private:
  // The state of the search: no later block is placed below it.
  struct Bound {
    std::uint64_t offset;
    Index rank;
    friend auto operator<=>(const Bound&, const Bound&) = default;
  };
  struct Part {
    std::vector<Index> blocks;
    Index begin;  // sections [begin, end)
    Index end;
  };
  // Lengths of the undo lists.
  struct Mark {
    std::size_t lowest;
    std::size_t floors;
  };

  Outcome solve(Part& part);
  Outcome search(const Part& part, Bound bound);
  Outcome go_on(const Part& part, Bound bound, Index placed);
  Outcome solve_parts(const Part& part, std::span<const Index> cuts);
  [[nodiscard]] std::vector<std::pair<Bound, Index>> candidates(const Part& part, Bound bound);
  void rank(std::span<const Index> blocks);
  // Returns false if no unplaced block is alive together with it.
  bool place(Index block, std::uint64_t offset);
  void take_back(Index block, Mark mark);
  void raise_floors();
  [[nodiscard]] bool may_fit(const Part& part, std::uint64_t offset);
  void spend(std::uint64_t steps) noexcept { left_ -= left_ < steps ? left_ : steps; }

  const Instance& instance_;
  Lists members_;     // for each section, the live blocks
  Lists neighbours_;  // for each block, the blocks that are alive together with it
  std::vector<Index> lengths_;
  Order order_{};
  std::uint64_t capacity_ = 0;
  std::uint64_t left_ = 0;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> placed_;
  std::vector<std::uint64_t> lowest_;  // for each unplaced block, its lowest possible offset
  std::vector<Index> ranks_;           // for each block, its position in the static order
  std::vector<std::uint64_t> floors_;  // for each section, the offset below which nothing more is placed
  std::vector<std::uint64_t> totals_;  // for each section, the sum of the sizes still to be placed
  std::vector<Index> cuts_;            // number of unplaced blocks that span section s and s + 1
  std::vector<std::uint8_t> touched_;  // for each section, whether its floor may have risen
  bool fits_ = true;                   // no unplaced block has been raised above the capacity
  std::vector<std::pair<Index, std::uint64_t>> old_lowest_;  // undo list
  std::vector<std::pair<Index, std::uint64_t>> old_floors_;
};

}  // namespace memtool::packing
