// Depth-first search for a packing within a capacity, in which blocks are placed from the bottom to the top: each as
// low as what is placed already lets it lie, none below the one before it. It goes other ways than the search over
// skylines (packing_skyline.hpp), and solves in no time what that one does not, and the other way round.
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
  // What counts first, second and third when blocks of one lowest offset are ordered: the greatest comes first.
  enum class Weight { crowd, area, length, level };  // level: of the length, its power of two
  using Order = std::array<Weight, 3>;

  explicit CanonicalSearch(const Instance& instance);

  // Packs into `capacity` with at most `limit` steps; none: it cannot be done. The packing is in offsets().
  Outcome run(std::uint64_t capacity, const Order& order, std::uint64_t limit, Work& work);
  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }

 private:
  // Where the search stands: nothing is placed below it any more.
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
  // How much is on the lists of what is to be undone.
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
  // False: nothing that is not placed is alive together with it.
  bool place(Index block, std::uint64_t offset);
  void take_back(Index block, Mark mark);
  void raise_floors();
  [[nodiscard]] bool may_fit(const Part& part, std::uint64_t offset);
  void spend(std::uint64_t steps) noexcept { left_ -= left_ < steps ? left_ : steps; }

  const Instance& instance_;
  Lists members_;     // of each section, who is alive
  Lists neighbours_;  // of each block, who is alive together with it
  std::vector<Index> lengths_;
  Order order_{};
  std::uint64_t capacity_ = 0;
  std::uint64_t left_ = 0;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> placed_;
  std::vector<std::uint64_t> lowest_;  // of each block that is not placed, how low it may lie
  std::vector<Index> ranks_;           // of each block, its place in the static order
  std::vector<std::uint64_t> floors_;  // of each section, below which nothing is placed any more
  std::vector<std::uint64_t> totals_;  // of each section, the sizes that are not placed yet
  std::vector<Index> cuts_;            // how many that are not placed span section s and s + 1
  std::vector<std::uint8_t> touched_;  // of each section, whether its floor may be higher now
  bool fits_ = true;                   // no block that is not placed has been raised above the capacity
  std::vector<std::pair<Index, std::uint64_t>> old_lowest_;  // to be undone
  std::vector<std::pair<Index, std::uint64_t>> old_floors_;
};

}  // namespace memtool::packing
