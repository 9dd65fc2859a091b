#include "engine/packing/canonical.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

namespace memtool::packing {
namespace {

Lists neighbours_of(const Instance& instance, const Lists& members) {
  Lists lists;
  lists.first.push_back(0);
  std::vector<Index> seen(instance.size(), 0);
  for (Index i = 0; i < instance.size(); ++i) {
    const Block& block = instance.blocks[i];
    seen[i] = i + 1;
    for (Index s = block.begin; s < block.end; ++s) {
      for (const Index other : members[s]) {
        if (seen[other] == i + 1) continue;
        seen[other] = i + 1;
        lists.items.push_back(other);
      }
    }
    lists.first.push_back(lists.items.size());
  }
  return lists;
}

}  // namespace

CanonicalSearch::CanonicalSearch(const Instance& instance)
    : instance_(instance),
      members_(members_of(instance)),
      neighbours_(neighbours_of(instance, members_)),
      lengths_(lengths_of(instance)) {}

Outcome CanonicalSearch::run(std::uint64_t capacity, const Order& order, std::uint64_t limit, Work& work) {
  order_ = order;
  capacity_ = capacity;
  const std::uint64_t granted = std::min(limit, work.left());
  left_ = granted;
  totals_ = profile_of(instance_);
  floors_.assign(instance_.sections, 0);
  cuts_.assign(instance_.sections, 0);
  touched_.assign(instance_.sections, 0);
  offsets_.assign(instance_.size(), 0);
  placed_.assign(instance_.size(), 0);
  lowest_.assign(instance_.size(), 0);
  ranks_.assign(instance_.size(), 0);
  for (const Block& block : instance_.blocks)
    for (Index s = block.begin; s + 1 < block.end; ++s) ++cuts_[s];
  Part all{std::vector<Index>(instance_.size()), 0, instance_.sections};
  std::iota(all.blocks.begin(), all.blocks.end(), 0U);
  const Outcome outcome = may_fit(all, 0) ? solve(all) : Outcome::none;
  work.spend(granted - left_ + 1);
  return outcome;
}

void CanonicalSearch::rank(std::span<const Index> blocks) {
  std::vector<std::pair<std::array<std::uint64_t, 3>, Index>> keys;
  keys.reserve(blocks.size());
  for (const Index i : blocks) {
    const Block& block = instance_.blocks[i];
    std::array<std::uint64_t, 3> key{};
    std::ranges::transform(order_, key.begin(), [&](Weight weight) {
      if (weight == Weight::area) return block.size * lengths_[i];
      if (weight == Weight::level) return std::uint64_t{std::bit_width(lengths_[i])};
      if (weight == Weight::length) return std::uint64_t{lengths_[i]};
      spend((block.end - block.begin) / 4);
      return *std::max_element(totals_.begin() + block.begin, totals_.begin() + block.end);
    });
    keys.emplace_back(key, i);
  }
  std::ranges::stable_sort(keys, std::greater<>{}, [](const auto& key) { return key.first; });
  for (Index place = 0; place < keys.size(); ++place) ranks_[keys[place].second] = place;
  spend(32 * blocks.size());
}

Outcome CanonicalSearch::solve(Part& part) {
  // A caller that continues with another packing of the blocks below needs the previous ranks.
  std::vector<Index> before;
  before.reserve(part.blocks.size());
  for (const Index i : part.blocks) before.push_back(ranks_[i]);
  rank(part.blocks);
  const Outcome outcome = search(part, {0, 0});
  for (std::size_t at = 0; at < before.size(); ++at) ranks_[part.blocks[at]] = before[at];
  return outcome;
}

std::vector<std::pair<CanonicalSearch::Bound, Index>> CanonicalSearch::candidates(const Part& part, Bound bound) {
  // A block at or above the lowest top would leave a gap into which the block of that top fits.
  std::uint64_t top = kNowhere;
  for (const Index i : part.blocks)
    if (!placed_[i]) top = std::min(top, lowest_[i] + instance_.blocks[i].size);
  std::vector<std::pair<Bound, Index>> result;
  for (const Index i : part.blocks) {
    const Bound own{lowest_[i], ranks_[i]};
    if (!placed_[i] && own.offset < top && own >= bound) result.emplace_back(own, i);
  }
  std::ranges::sort(result);
  spend(2 * part.blocks.size() + 8 * result.size());
  return result;
}

Outcome CanonicalSearch::search(const Part& part, Bound bound) {
  if (left_ == 0) return Outcome::spent;
  if (std::ranges::all_of(part.blocks, [&](Index i) { return placed_[i] != 0; })) return Outcome::packed;
  for (const auto& [own, block] : candidates(part, bound)) {
    const Mark mark{old_lowest_.size(), old_floors_.size()};
    const bool has_others = place(block, own.offset);
    const Outcome outcome = fits_ && may_fit(part, own.offset) ? go_on(part, own, block) : Outcome::none;
    take_back(block, mark);
    if (outcome != Outcome::none) return outcome;
    // Wherever the block lies, it conflicts with no other.
    if (!has_others) return Outcome::none;
  }
  return Outcome::none;
}

// At a cut that no unplaced block spans, the problem falls into independent parts.
Outcome CanonicalSearch::go_on(const Part& part, Bound bound, Index placed) {
  const Block& block = instance_.blocks[placed];
  std::vector<Index> cuts{part.begin};
  for (Index s = block.begin; s + 1 < block.end; ++s)
    if (--cuts_[s] == 0) cuts.push_back(s + 1);
  cuts.push_back(part.end);
  const Outcome outcome = cuts.size() == 2 ? search(part, bound) : solve_parts(part, cuts);
  for (Index s = block.begin; s + 1 < block.end; ++s) ++cuts_[s];
  return outcome;
}

Outcome CanonicalSearch::solve_parts(const Part& part, std::span<const Index> cuts) {
  for (std::size_t at = 0; at + 1 < cuts.size(); ++at) {
    Part own{{}, cuts[at], cuts[at + 1]};
    for (const Index i : part.blocks) {
      const Block& block = instance_.blocks[i];
      if (!placed_[i] && block.begin >= own.begin && block.end <= own.end) own.blocks.push_back(i);
    }
    spend(2 * part.blocks.size());
    if (own.blocks.empty()) continue;
    const Outcome outcome = solve(own);
    if (outcome != Outcome::packed) return outcome;
  }
  return Outcome::packed;
}

bool CanonicalSearch::place(Index block, std::uint64_t offset) {
  const Block& placed = instance_.blocks[block];
  const std::uint64_t top = offset + placed.size;
  offsets_[block] = offset;
  placed_[block] = 1;
  fits_ = true;
  bool has_others = false;
  for (const Index other : neighbours_[block]) {
    if (placed_[other]) continue;
    has_others = true;
    if (lowest_[other] >= top) continue;
    old_lowest_.emplace_back(other, lowest_[other]);
    lowest_[other] = top;
    const Block& raised = instance_.blocks[other];
    if (top + raised.size > capacity_) fits_ = false;
    std::fill(touched_.begin() + raised.begin, touched_.begin() + raised.end, std::uint8_t{1});
  }
  spend(neighbours_[block].size());
  for (Index s = placed.begin; s < placed.end; ++s) {
    old_floors_.emplace_back(s, floors_[s]);
    floors_[s] = top;
    totals_[s] -= placed.size;
  }
  spend(2 * (placed.end - placed.begin));
  raise_floors();
  return has_others;
}

// In a section nothing lies lower than the lowest position of its unplaced blocks.
void CanonicalSearch::raise_floors() {
  for (Index s = 0; s < instance_.sections; ++s) {
    if (!touched_[s]) continue;
    touched_[s] = 0;
    if (!fits_) continue;
    std::uint64_t lowest = kNowhere;
    for (const Index i : members_[s])
      if (!placed_[i]) lowest = std::min(lowest, lowest_[i]);
    spend(members_[s].size() / 2);
    if (lowest == kNowhere || lowest <= floors_[s]) continue;
    old_floors_.emplace_back(s, floors_[s]);
    floors_[s] = lowest;
  }
  spend(instance_.sections / 2);
}

void CanonicalSearch::take_back(Index block, Mark mark) {
  const Block& placed = instance_.blocks[block];
  placed_[block] = 0;
  for (Index s = placed.begin; s < placed.end; ++s) totals_[s] += placed.size;
  for (; old_floors_.size() > mark.floors; old_floors_.pop_back())
    floors_[old_floors_.back().first] = old_floors_.back().second;
  for (; old_lowest_.size() > mark.lowest; old_lowest_.pop_back())
    lowest_[old_lowest_.back().first] = old_lowest_.back().second;
}

bool CanonicalSearch::may_fit(const Part& part, std::uint64_t offset) {
  spend((part.end - part.begin) / 2);
  for (Index s = part.begin; s < part.end; ++s)
    if (totals_[s] != 0 && std::max(offset, floors_[s]) + totals_[s] > capacity_) return false;
  return true;
}

}  // namespace memtool::packing
