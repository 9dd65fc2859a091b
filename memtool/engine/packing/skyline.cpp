#include "engine/packing/skyline.hpp"

#include <algorithm>
#include <cmath>

namespace memtool::packing {
namespace {

constexpr std::size_t kFailed = std::size_t{1} << 19;

std::uint64_t mixed(std::uint64_t value) noexcept {
  return Draw(value).next();
}

}  // namespace

SkylineSearch::SkylineSearch(const Instance& instance)
    : instance_(instance),
      members_(members_of(instance)),
      begins_(begins_of(instance)),
      ends_(ends_of(instance)),
      lengths_(lengths_of(instance)),
      failed_(kFailed, 0) {}

Outcome SkylineSearch::run(std::uint64_t capacity, const Preference& preference, std::uint64_t limit, Work& work) {
  // A state that fails in one capacity fails in a smaller one.
  if (capacity > known_capacity_) std::ranges::fill(failed_, 0);
  capacity_ = known_capacity_ = capacity;
  const std::uint64_t granted = std::min(limit, work.left());
  left_ = granted;
  totals_ = profile_of(instance_);
  heights_.assign(instance_.sections, 0);
  cuts_.assign(instance_.sections, 0);
  placed_keys_.assign(instance_.sections, 0);
  offsets_.assign(instance_.size(), 0);
  placed_.assign(instance_.size(), 0);
  weights_.clear();
  Draw draw(preference.seed);
  for (Index i = 0; i < instance_.size(); ++i) {
    const Block& block = instance_.blocks[i];
    for (Index s = block.begin; s + 1 < block.end; ++s) ++cuts_[s];
    weights_.push_back(std::log2(lengths_[i]) + preference.power * std::log2(static_cast<double>(block.size)) +
                       preference.noise * (2 * draw.unit() - 1));
  }
  const bool possible = std::ranges::all_of(totals_, [&](std::uint64_t total) { return total <= capacity; });
  const Outcome outcome = possible ? search(0, instance_.sections) : Outcome::none;
  work.spend(granted - left_ + 1);
  return outcome;
}

// At a cut that no block spans, the problem falls into independent parts.
Outcome SkylineSearch::search(Index begin, Index end) {
  for (Index s = begin; s + 1 < end; ++s) {
    if (cuts_[s] != 0) continue;
    const bool left_first = s + 1 - begin <= end - s - 1;
    const Outcome outcome = left_first ? search_valley(begin, s + 1) : search(s + 1, end);
    if (outcome != Outcome::packed) return outcome;
    return left_first ? search(s + 1, end) : search_valley(begin, s + 1);
  }
  spend((end - begin) / 4);
  return search_valley(begin, end);
}

Outcome SkylineSearch::search_valley(Index begin, Index end) {
  if (left_ == 0) return Outcome::spent;
  const std::uint64_t key = key_of(begin, end);
  if (failed_[key % kFailed] == key) return Outcome::none;
  const Valley valley = narrowest(begin, end);
  if (valley.begin == valley.end) return Outcome::packed;
  const Outcome outcome = decide(begin, end, valley);
  if (outcome == Outcome::none) failed_[key % kFailed] = key;
  return outcome;
}

std::uint64_t SkylineSearch::key_of(Index begin, Index end) {
  std::uint64_t key = begin;
  for (Index s = begin; s < end; ++s) {
    if (totals_[s] == 0) continue;
    key += mixed(heights_[s] * 0x10001 + s) + mixed(placed_keys_[s] ^ s);
  }
  spend(4 * (end - begin));
  return mixed(key) | 1;
}

SkylineSearch::Valley SkylineSearch::narrowest(Index begin, Index end) {
  Valley best{begin, begin};
  spend(2 * (end - begin));
  const auto height = [&](Index s) { return totals_[s] == 0 ? kNowhere : heights_[s]; };
  for (Index s = begin; s < end;) {
    Valley valley{s, s + 1};
    const std::uint64_t bottom = height(s);
    while (valley.end < end && height(valley.end) == bottom) ++valley.end;
    const bool lower = (s == begin || height(s - 1) > bottom) && (valley.end == end || height(valley.end) > bottom);
    s = valley.end;
    if (bottom == kNowhere || !lower) continue;
    for (const bool at_end : {false, true}) {
      valley.at_end = at_end;
      count_choices(valley, best.begin == best.end ? ~Index{0} : best.choices);
      if (best.begin == best.end || valley.choices < best.choices) best = valley;
      if (best.choices == 0) return best;
    }
  }
  return best;
}

bool SkylineSearch::may_lie(Index block, const Valley& valley) const {
  if (placed_[block]) return false;
  const Block& candidate = instance_.blocks[block];
  if (valley.at_end ? candidate.begin < valley.begin : candidate.end > valley.end) return false;
  // Among equals, the first.
  return block == 0 || placed_[block - 1] || instance_.blocks[block - 1] != candidate;
}

// Counting stops at `most`.
void SkylineSearch::count_choices(Valley& valley, Index most) {
  const auto& candidates = valley.at_end ? ends_[valley.end] : begins_[valley.begin];
  valley.choices = 0;
  for (const Index i : candidates) valley.choices += may_lie(i, valley) ? 1 : 0;
  spend(2 * candidates.size() + 4);
  valley.raised = valley.choices < most ? raised_height(valley) : kNowhere;
  if (valley.raised != kNowhere) ++valley.choices;
}

// The lowest possible height of the section if no block lies at its bottom; kNowhere: nothing would fit then.
std::uint64_t SkylineSearch::raised_height(const Valley& valley) {
  const Index section = valley.section();
  const std::uint64_t bottom = heights_[section];
  if (bottom + totals_[section] >= capacity_) return kNowhere;
  std::uint64_t lowest = kNowhere, least = kNowhere;
  bool inside = false;
  for (const Index i : members_[section]) {
    if (placed_[i]) continue;
    const Block& block = instance_.blocks[i];
    if (block.begin >= valley.begin && block.end <= valley.end) {
      inside = true;
      continue;
    }
    std::uint64_t low = 0;
    for (Index s = block.begin; s < block.end; ++s) low = std::max(low, heights_[s]);
    lowest = std::min(lowest, low);
    spend((block.end - block.begin) / 2);
  }
  spend(2 * members_[section].size());
  if (inside) {
    // A block that fits into the valley then lies on top of a block of the valley that is not alive in the section.
    for (Index s = valley.begin; s < valley.end; ++s) {
      const auto& others = valley.at_end ? ends_[s] : begins_[s];
      if (s == valley.begin) continue;  // a block that begins or has ended there is not alive in both sections
      for (const Index i : others)
        if (!placed_[i]) least = std::min(least, instance_.blocks[i].size);
      spend(others.size() + 1);
    }
    if (least != kNowhere) lowest = std::min(lowest, bottom + least);
  }
  return lowest == kNowhere || lowest + totals_[section] > capacity_ ? kNowhere : lowest;
}

Outcome SkylineSearch::decide(Index begin, Index end, const Valley& valley) {
  std::vector<Index> blocks;
  for (const Index i : valley.at_end ? ends_[valley.end] : begins_[valley.begin])
    if (may_lie(i, valley)) blocks.push_back(i);
  std::ranges::sort(blocks, std::greater<>{}, [&](Index i) { return std::pair(weights_[i], i); });
  for (const Index i : blocks) {
    place(i);
    const Outcome outcome = search(begin, end);
    take_back(i);
    if (outcome != Outcome::none) return outcome;
  }
  if (valley.raised == kNowhere) return Outcome::none;
  const Index section = valley.section();
  const std::uint64_t before = heights_[section];
  heights_[section] = valley.raised;
  const Outcome outcome = search_valley(begin, end);
  heights_[section] = before;
  return outcome;
}

void SkylineSearch::place(Index block) {
  const Block& placed = instance_.blocks[block];
  offsets_[block] = heights_[placed.begin];
  placed_[block] = 1;
  placed_keys_[placed.begin] += mixed(block);
  for (Index s = placed.begin; s < placed.end; ++s) {
    heights_[s] += placed.size;
    totals_[s] -= placed.size;
    if (s + 1 < placed.end) --cuts_[s];
  }
  spend(2 * (placed.end - placed.begin));
}

void SkylineSearch::take_back(Index block) {
  const Block& placed = instance_.blocks[block];
  placed_[block] = 0;
  placed_keys_[placed.begin] -= mixed(block);
  for (Index s = placed.begin; s < placed.end; ++s) {
    heights_[s] -= placed.size;
    totals_[s] += placed.size;
    if (s + 1 < placed.end) ++cuts_[s];
  }
}

}  // namespace memtool::packing
