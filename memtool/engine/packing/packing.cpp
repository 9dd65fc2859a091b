#include "engine/packing/packing.hpp"

#include <algorithm>
#include <array>

#include "engine/packing/canonical.hpp"
#include "engine/packing/first_fit.hpp"
#include "engine/packing/in_time.hpp"
#include "engine/packing/instance.hpp"
#include "engine/packing/skyline.hpp"

namespace memtool {
namespace {

using namespace packing;

// With more pairs, the depth of the search and its lists of neighbours become too large.
constexpr std::uint64_t kMostPairs = 1 << 21;
constexpr std::size_t kMostBlocks = 4096;

// Depth-first searches between `target` and the best packing. Luck decides which order or preference succeeds, and a
// search that took a wrong turn seldom recovers. So many are tried for a short time, and then again for increasing
// times.
class Portfolio {
 public:
  Portfolio(const Instance& instance, std::uint64_t target)
      : instance_(instance), canonical_(instance), skyline_(instance), target_(target) {}

  void run(Work& work, Offsets& best) {
    constexpr std::uint64_t kFirstSlice = 1 << 20;
    // Capacities as shares of the way from the target to the best, in 64ths. Reaching the target is worth the most. A
    // capacity just below the best is the easiest. The closer the best comes to the target, the less lies between.
    constexpr std::array<std::uint64_t, 4> kShares{0, 60, 52, 32};
    for (std::uint64_t slice = kFirstSlice; !work.spent() && best.footprint > target_; slice *= 2) {
      for (const std::uint64_t share : kShares) {
        std::uint64_t before = kNowhere;
        while (best.footprint < before) {
          before = best.footprint;
          search(target_ + (before - target_) * share / 64, slice, work, best);
          if (best.footprint <= target_ || work.spent()) return;
        }
      }
    }
  }

 private:
  void search(std::uint64_t capacity, std::uint64_t slice, Work& work, Offsets& best) {
    using enum CanonicalSearch::Weight;
    constexpr std::array<CanonicalSearch::Order, 3> kOrders{
        {{crowd, length, area}, {length, area, crowd}, {crowd, level, area}}};
    constexpr std::array<SkylineSearch::Preference, 6> kPreferences{
        {{0.125, 0, 0}, {1, 0, 0}, {0.125, 1, 0}, {1, 2, 0}, {2, 2, 0}, {0, 1, 0}}};
    for (const CanonicalSearch::Order& order : kOrders) {
      const Outcome outcome = canonical_.run(capacity, order, slice, work);
      if (outcome == Outcome::packed) best.keep(footprint_of(canonical_.offsets()), canonical_.offsets());
      if (is_over(outcome, capacity) || work.spent()) return;
    }
    for (SkylineSearch::Preference preference : kPreferences) {
      preference.seed = ++seed_;
      const Outcome outcome = skyline_.run(capacity, preference, slice, work);
      if (outcome == Outcome::packed) best.keep(footprint_of(skyline_.offsets()), skyline_.offsets());
      if (is_over(outcome, capacity) || work.spent()) return;
    }
  }

  bool is_over(Outcome outcome, std::uint64_t capacity) {
    // A proof that no packing exists holds for all searches.
    if (outcome == Outcome::none) target_ = std::max(target_, capacity + 1);
    return outcome != Outcome::spent;
  }

  [[nodiscard]] std::uint64_t footprint_of(const std::vector<std::uint64_t>& offsets) const {
    std::uint64_t top = 0;
    for (std::size_t i = 0; i < instance_.size(); ++i) top = std::max(top, offsets[i] + instance_.blocks[i].size);
    return top;
  }

  const Instance& instance_;
  CanonicalSearch canonical_;
  SkylineSearch skyline_;
  std::uint64_t target_;
  std::uint64_t seed_ = 0;
};

Offsets pack_part(const Instance& instance, std::uint64_t target, Work& work) {
  Offsets best;
  place_in_time(instance, work, best);
  if (best.footprint <= target) return best;
  const bool free = std::ranges::all_of(instance.blocks, [](const Block& block) { return block.alignment == 1; });
  const bool few = free && instance.size() <= kMostBlocks && count_pairs(instance, kMostPairs) <= kMostPairs;
  // With many blocks another third is kept back, because more steps have not helped them.
  Work first(work.left() / (few ? 4 : 3));
  work.spend(first.left());
  if (few) {
    search_orders(instance, target, first, best);
    if (best.footprint > target) Portfolio(instance, target).run(work, best);
  } else {
    search_in_time(instance, target, first, best);
    Work second(work.left() / 2);
    work.spend(second.left());
    search_orders(instance, target, second, best);
  }
  return best;
}

// If all blocks have the same alignment, rounding sizes up to it preserves it, and no packing becomes larger.
std::vector<Interval> rounded(std::span<const Interval> intervals) {
  std::vector<Interval> result(intervals.begin(), intervals.end());
  if (result.empty()) return result;
  const std::uint64_t alignment = result.front().alignment;
  if (!std::ranges::all_of(result, [&](const Interval& interval) { return interval.alignment == alignment; }))
    return result;
  for (Interval& interval : result) {
    interval.size = (interval.size + alignment - 1) & -alignment;
    interval.alignment = 1;
  }
  return result;
}

}  // namespace

std::uint64_t load_of(std::span<const Interval> intervals) {
  const std::vector<Instance> parts = instances_of(intervals);
  return parts.empty() ? 0 : parts.front().load;
}

Packing pack(std::span<const Interval> intervals, std::uint64_t steps) {
  Packing result;
  result.offsets.assign(intervals.size(), 0);
  Work work(steps);
  // The part of the greatest load comes first, because the others may use as much as it needs.
  std::uint64_t target = 0;
  for (const Instance& part : instances_of(rounded(intervals))) {
    target = std::max(target, part.load);
    const Offsets best = pack_part(part, target, work);
    for (std::size_t i = 0; i < part.size(); ++i) {
      const Index origin = part.origins[i];
      result.offsets[origin] = best.of[i];
      result.footprint = std::max(result.footprint, best.of[i] + intervals[origin].size);
    }
    target = std::max(target, best.footprint);
  }
  return result;
}

}  // namespace memtool
