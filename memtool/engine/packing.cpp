#include "engine/packing.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <iterator>
#include <limits>
#include <map>
#include <numeric>
#include <set>
#include <utility>

namespace memtool {
namespace {

using Index = std::uint32_t;
constexpr std::uint64_t kNowhere = std::numeric_limits<std::uint64_t>::max();

// Indices of the intervals in order of time: (time, interval, begins). What ends at an instant ends before what begins.
struct Edge {
  std::uint64_t time;
  Index interval;
  bool begins;
};

std::vector<Edge> edges_of(std::span<const Interval> intervals) {
  std::vector<Edge> edges;
  edges.reserve(2 * intervals.size());
  for (Index i = 0; i < intervals.size(); ++i) {
    if (intervals[i].lower >= intervals[i].upper) continue;
    edges.push_back({intervals[i].lower, i, true});
    edges.push_back({intervals[i].upper, i, false});
  }
  std::ranges::sort(edges, [](const Edge& a, const Edge& b) {
    if (a.time != b.time) return a.time < b.time;
    if (a.begins != b.begins) return b.begins;
    return a.interval < b.interval;
  });
  return edges;
}

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the search must go the same way on every machine.
class Draw {
 public:
  // Less than `bound`, which must not be 0.
  std::size_t below(std::size_t bound) noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return static_cast<std::size_t>((z ^ z >> 31) % bound);
  }

 private:
  std::uint64_t state_ = 42;
};

// Search over orders of placement, for instances of which every pair that overlaps in time can be kept.
class OrderSearch {
 public:
  OrderSearch(std::span<const Interval> intervals, std::span<const Edge> edges, std::uint64_t load)
      : intervals_(intervals), load_(load) {
    find_neighbours(edges);
  }

  // Pairs that overlap in time; counting stops above `most`.
  static std::uint64_t count_pairs(std::span<const Edge> edges, std::uint64_t most) {
    std::uint64_t pairs = 0, alive = 0;
    for (const Edge& edge : edges) {
      if (edge.begins)
        pairs += alive++;
      else
        --alive;
      if (pairs > most) break;
    }
    return pairs;
  }

  void run(Packing& best, std::uint64_t work) {
    work_ = work;
    std::vector<Index> order, best_order;
    std::uint64_t least = kNowhere;
    for (const auto key : {kArea, kSize, kLifetime, kCrowd}) {
      order = order_by(key);
      const std::uint64_t found = place(order, 0);
      keep(best, found);
      if (found < least) {
        least = found;
        best_order = order;
      }
      if (least == load_ || work_ == 0) return;
    }
    improve(best, best_order, least);
  }

  // All intervals, those first that are hardest to place later: by how crowded it is while they live, or how long.
  [[nodiscard]] std::vector<Index> order_by_crowd() const { return order_by(kCrowd); }
  [[nodiscard]] std::vector<Index> order_by_lifetime() const { return order_by(kLifetime); }

 private:
  enum Key { kArea, kSize, kLifetime, kCrowd };
  using Weight = std::array<double, 3>;

  [[nodiscard]] Weight weigh(Index i, Key key) const {
    const auto size = static_cast<double>(intervals_[i].size);
    const auto lifetime = static_cast<double>(intervals_[i].upper - intervals_[i].lower);
    switch (key) {
      case kArea:
        return {size * lifetime, size, 0};
      case kSize:
        return {size, lifetime, 0};
      case kLifetime:
        return {lifetime, size, 0};
      default:
        return {static_cast<double>(crowd_[i]), lifetime, size * lifetime};
    }
  }

  [[nodiscard]] std::vector<Index> order_by(Key key) const {
    std::vector<Index> order(intervals_.size());
    std::iota(order.begin(), order.end(), 0U);
    std::ranges::stable_sort(order, std::greater<>{}, [&](Index i) { return weigh(i, key); });
    return order;
  }

  void find_neighbours(std::span<const Edge> edges) {
    std::vector<std::vector<Index>> lists(intervals_.size());
    crowd_.assign(intervals_.size(), 0);
    std::vector<Index> alive;
    std::uint64_t live = 0;
    for (const Edge& edge : edges) {
      const Index i = edge.interval;
      if (!edge.begins) {
        live -= intervals_[i].size;
        alive.erase(std::ranges::find(alive, i));
        continue;
      }
      live += intervals_[i].size;
      for (const Index j : alive) {
        lists[i].push_back(j);
        lists[j].push_back(i);
        crowd_[j] = std::max(crowd_[j], live);
      }
      crowd_[i] = live;
      alive.push_back(i);
    }
    first_.assign(1, 0);
    for (const auto& list : lists) {
      neighbours_.insert(neighbours_.end(), list.begin(), list.end());
      first_.push_back(neighbours_.size());
    }
    rank_.assign(intervals_.size(), 0);
    offsets_.assign(intervals_.size(), 0);
  }

  // Places order[from..] upon what is placed before, each at the lowest address that is free; returns the footprint.
  std::uint64_t place(std::span<const Index> order, std::size_t from) {
    for (std::size_t at = from; at < order.size(); ++at) rank_[order[at]] = static_cast<Index>(at);
    for (std::size_t at = from; at < order.size(); ++at) {
      const Index i = order[at];
      taken_.clear();
      for (std::size_t k = first_[i]; k < first_[i + 1]; ++k) {
        const Index j = neighbours_[k];
        if (rank_[j] < at) taken_.emplace_back(offsets_[j], offsets_[j] + intervals_[j].size);
      }
      std::ranges::sort(taken_);
      std::uint64_t offset = 0;
      for (const auto& [low, high] : taken_) {
        if (low >= offset + intervals_[i].size) break;
        offset = std::max(offset, high);
      }
      offsets_[i] = offset;
      spend(first_[i + 1] - first_[i] + 4 * taken_.size());
    }
    std::uint64_t footprint = 0;
    for (const Index i : order) footprint = std::max(footprint, offsets_[i] + intervals_[i].size);
    return footprint;
  }

  void spend(std::uint64_t steps) noexcept { work_ -= std::min(work_, steps); }

  void keep(Packing& best, std::uint64_t found) const {
    if (!best.offsets.empty() && found >= best.footprint) return;
    best.footprint = found;
    best.offsets = offsets_;
  }

  // Moves a block that reaches the top to an earlier place in the order, again and again; an order that is no worse is
  // kept, and now and then one that is slightly worse, to get away from a dead end.
  void improve(Packing& best, const std::vector<Index>& start, std::uint64_t least) {
    Draw draw;
    std::vector<Index> order = start, best_order = start, tried;
    std::uint64_t now = place(order, 0);
    std::uint64_t since = 0;
    while (work_ > 0 && best.footprint > load_) {
      tops_.clear();
      for (const Index i : order)
        if (offsets_[i] + intervals_[i].size == now) tops_.push_back(i);
      const Index top = tops_[draw.below(tops_.size())];
      const std::size_t from = rank_[top];
      std::size_t to = from == 0 ? 0 : draw.below(from);
      tried = order;
      if (draw.below(4) == 0 && order.size() > 1) {
        // Two others change places: the block at the top need not be the one to blame.
        const std::size_t a = draw.below(order.size()), b = draw.below(order.size());
        std::swap(tried[a], tried[b]);
        to = std::min(a, b);
      } else {
        std::rotate(tried.begin() + static_cast<std::ptrdiff_t>(to), tried.begin() + static_cast<std::ptrdiff_t>(from),
                    tried.begin() + static_cast<std::ptrdiff_t>(from) + 1);
      }
      const std::uint64_t found = place(tried, to);
      keep(best, found);
      const bool slightly_worse = found <= now + now / 256 && draw.below(16) == 0;
      if (found <= now || slightly_worse) {
        std::swap(order, tried);
        now = found;
      } else {
        place(order, to);
      }
      if (found < least) {
        least = found;
        best_order = order;
        since = 0;
      } else if (++since == 2000) {
        order = best_order;
        now = place(order, 0);
        since = 0;
      }
    }
  }

  std::span<const Interval> intervals_;
  std::uint64_t load_;
  std::uint64_t work_ = 0;
  std::vector<std::size_t> first_;  // of an interval's neighbours, those that are alive with it at some time
  std::vector<Index> neighbours_;
  std::vector<std::uint64_t> crowd_;  // the most that is alive at once during an interval
  std::vector<Index> rank_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> taken_;
  std::vector<Index> tops_;
};

// Depth-first search for a packing within a capacity, after Moffitt (MiniMalloc): blocks are placed in the order of
// their addresses, each as low as those beneath it allow, so that the state is a skyline over time; what remains in any
// section of time must fit above the lowest address that its next block can have.
class SkylineSearch {
 public:
  SkylineSearch(std::span<const Interval> intervals, std::span<const Edge> edges)
      : intervals_(intervals), begins_(intervals.size(), 0), ends_(intervals.size(), 0) {
    for (const Edge& edge : edges) {
      if (times_.empty() || times_.back() != edge.time) times_.push_back(edge.time);
      (edge.begins ? begins_ : ends_)[edge.interval] = times_.size() - 1;
    }
  }

  // Looks for a packing within `capacity`, among blocks that are preferred in this order where they tie. At most `work`
  // steps are taken off it. False: none was found.
  bool run(std::uint64_t capacity, std::span<const Index> order, std::uint64_t& work, Packing& result) {
    capacity_ = capacity;
    work_ = work;
    floors_.assign(times_.size(), 0);
    remaining_.assign(times_.size(), 0);
    lowest_.assign(times_.size(), 0);
    preference_.assign(intervals_.size(), 0);
    offsets_.assign(intervals_.size(), 0);
    trail_.clear();
    saved_floors_.clear();
    std::vector<Index> blocks;
    for (const Index i : order) {
      preference_[i] = static_cast<Index>(blocks.size());
      if (begins_[i] == ends_[i]) continue;
      blocks.push_back(i);
      for (std::size_t s = begins_[i]; s < ends_[i]; ++s) remaining_[s] += intervals_[i].size;
    }
    const bool found = solve_parts(blocks, 0, kNone);
    work = work_;
    if (!found) return false;
    result.footprint = 0;
    for (const Index i : blocks) result.footprint = std::max(result.footprint, offsets_[i] + intervals_[i].size);
    result.offsets = offsets_;
    return true;
  }

 private:
  static constexpr Index kNone = ~Index{0};
  struct Choice {
    std::uint64_t offset;
    Index preference;
    Index interval;
    auto operator<=>(const Choice&) const = default;
  };

  // Blocks that share no section of time are problems of their own. False: the state is as it was.
  bool solve_parts(std::vector<Index>& blocks, std::uint64_t least, Index last) {
    const std::size_t placed = trail_.size();
    std::ranges::sort(blocks, {}, [&](Index i) { return std::pair(begins_[i], i); });
    for (std::size_t at = 0; at < blocks.size();) {
      std::size_t end = ends_[blocks[at]];
      std::size_t next = at + 1;
      while (next < blocks.size() && begins_[blocks[next]] < end) end = std::max(end, ends_[blocks[next++]]);
      if (!solve(std::span(blocks).subspan(at, next - at), least, last)) {
        while (trail_.size() > placed) take_back();
        return false;
      }
      at = next;
    }
    return true;
  }

  // Places the blocks at `least` or above it; `last`, which lies there, was placed before them.
  bool solve(std::span<const Index> blocks, std::uint64_t least, Index last) {
    std::vector<Choice> choices;
    if (!choose(blocks, least, last, choices)) return false;
    std::vector<Index> rest;
    for (const Choice& choice : choices) {
      if (work_ == 0) return false;
      put(choice.interval, choice.offset);
      rest.clear();
      std::ranges::remove_copy(blocks, std::back_inserter(rest), choice.interval);
      if (solve_parts(rest, choice.offset, choice.interval)) return true;
      take_back();
    }
    return false;
  }

  void put(Index i, std::uint64_t offset) {
    trail_.push_back(i);
    for (std::size_t s = begins_[i]; s < ends_[i]; ++s) {
      saved_floors_.push_back(floors_[s]);
      floors_[s] = offset + intervals_[i].size;
      remaining_[s] -= intervals_[i].size;
    }
    offsets_[i] = offset;
  }

  void take_back() {
    const Index i = trail_.back();
    trail_.pop_back();
    for (std::size_t s = ends_[i]; s-- > begins_[i];) {
      floors_[s] = saved_floors_.back();
      saved_floors_.pop_back();
      remaining_[s] += intervals_[i].size;
    }
  }

  // The blocks that may be placed next, in the order to be tried; false: no packing goes on from here.
  bool choose(std::span<const Index> blocks, std::uint64_t least, Index last, std::vector<Choice>& choices) {
    std::uint64_t steps = 0;
    std::uint64_t lowest_top = kNowhere;
    for (const Index i : blocks)
      for (std::size_t s = begins_[i]; s < ends_[i]; ++s) lowest_[s] = kNowhere;
    for (const Index i : blocks) {
      std::uint64_t offset = 0;
      for (std::size_t s = begins_[i]; s < ends_[i]; ++s) offset = std::max(offset, floors_[s]);
      if (offset >= least) {
        choices.push_back({offset, preference_[i], i});
        lowest_top = std::min(lowest_top, offset + intervals_[i].size);
      }
      const std::uint64_t bound = std::max(offset, least);
      for (std::size_t s = begins_[i]; s < ends_[i]; ++s) lowest_[s] = std::min(lowest_[s], bound);
      steps += 3 * (ends_[i] - begins_[i]) + 8;
    }
    work_ -= std::min(work_, steps);
    for (const Index i : blocks)
      for (std::size_t s = begins_[i]; s < ends_[i]; ++s)
        if (lowest_[s] + remaining_[s] > capacity_) return false;
    std::erase_if(choices, [&](const Choice& choice) {
      // A block that could lie wholly beneath this one would leave a gap there that it fits into.
      if (choice.offset >= lowest_top) return true;
      // Of blocks at the same address that do not meet, one order is enough.
      return last != kNone && choice.offset == least && choice.preference < preference_[last] &&
             (ends_[choice.interval] <= begins_[last] || ends_[last] <= begins_[choice.interval]);
    });
    std::ranges::sort(choices);
    return true;
  }

  std::span<const Interval> intervals_;
  std::vector<std::uint64_t> times_;        // at which something begins or ends; a section lies between two of them
  std::vector<std::size_t> begins_, ends_;  // the sections that an interval spans: [begins, ends)
  std::uint64_t capacity_ = 0;
  std::uint64_t work_ = 0;
  std::vector<std::uint64_t> floors_;     // of each section, the top of what is placed there
  std::vector<std::uint64_t> remaining_;  // of each section, the sizes that are not placed yet
  std::vector<std::uint64_t> lowest_;     // of each section, the lowest address that its next block can have
  std::vector<Index> preference_;
  std::vector<std::uint64_t> offsets_;
  std::vector<Index> trail_;                 // what is placed, in order
  std::vector<std::uint64_t> saved_floors_;  // beneath what is placed
};

// Tries capacities between the load and the best packing, first a little each and then ever longer.
void search_skylines(std::span<const Interval> intervals, std::span<const Edge> edges, std::uint64_t load,
                     std::uint64_t work, const OrderSearch& orders, Packing& best) {
  constexpr std::uint64_t kFirstSlice = 1 << 20;
  constexpr std::uint64_t kCapacities = 8;
  SkylineSearch search(intervals, edges);
  const std::array preferences{orders.order_by_crowd(), orders.order_by_lifetime()};
  Packing found;
  for (std::uint64_t slice = kFirstSlice; work > 0 && best.footprint > load; slice *= 8) {
    for (std::uint64_t k = 0; k < kCapacities && best.footprint > load; ++k) {
      for (const auto& preference : preferences) {
        const std::uint64_t capacity = load + (best.footprint - load) * k / kCapacities;
        // The load itself is worth more than what lies just below the best: there is nothing to find beyond it.
        std::uint64_t left = std::min(k == 0 ? 4 * slice : slice, work);
        work -= left;
        if (capacity < best.footprint && search.run(capacity, preference, left, found)) std::swap(best, found);
        work += left;
      }
    }
  }
}

// The gaps of an address space that ends at `end`, by address and by size.
class Gaps {
 public:
  explicit Gaps(std::uint64_t end) {
    if (end > 0) add(0, end);
  }

  // Takes `size` bytes from the tightest gap, at its low or high end; kNowhere: there is none.
  std::uint64_t take(std::uint64_t size, bool high) {
    const auto found = by_size_.lower_bound({size, 0});
    if (found == by_size_.end()) return kNowhere;
    const auto [bytes, offset] = *found;
    remove(offset, bytes);
    if (bytes > size) add(high ? offset : offset + size, bytes - size);
    return high ? offset + bytes - size : offset;
  }

  void give(std::uint64_t offset, std::uint64_t size) {
    auto next = by_address_.lower_bound(offset);
    if (next != by_address_.end() && next->first == offset + size) {
      const std::uint64_t more = next->second;
      remove(offset + size, more);
      size += more;
    }
    next = by_address_.lower_bound(offset);
    if (next != by_address_.begin()) {
      const auto previous = std::prev(next);
      const auto [start, bytes] = *previous;
      if (start + bytes == offset) {
        remove(start, bytes);
        offset = start;
        size += bytes;
      }
    }
    add(offset, size);
  }

  // The gap that ends at `end`; 0 bytes: there is none.
  [[nodiscard]] std::uint64_t last(std::uint64_t end) const {
    if (by_address_.empty()) return 0;
    const auto [offset, bytes] = *by_address_.rbegin();
    return offset + bytes == end ? bytes : 0;
  }

 private:
  void add(std::uint64_t offset, std::uint64_t bytes) {
    by_address_.emplace(offset, bytes);
    by_size_.emplace(bytes, offset);
  }
  void remove(std::uint64_t offset, std::uint64_t bytes) {
    by_address_.erase(offset);
    by_size_.erase({bytes, offset});
  }

  std::map<std::uint64_t, std::uint64_t> by_address_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;
};

// In order of time into `capacity` bytes, or as many as it takes (capacity 0). What lives longer than `long_lived` is
// placed low in its gap, the rest high. False: it does not fit.
// `steps` counts what was placed and freed.
bool place_in_time(std::span<const Interval> intervals, std::span<const Edge> edges, std::uint64_t capacity,
                   std::uint64_t long_lived, Packing& result, std::uint64_t& steps) {
  Gaps gaps(capacity);
  std::uint64_t end = capacity;
  result.footprint = 0;
  result.offsets.assign(intervals.size(), 0);
  for (const auto& [time, i, begins] : edges) {
    const auto& [lower, upper, size] = intervals[i];
    if (size == 0) continue;
    ++steps;
    if (!begins) {
      gaps.give(result.offsets[i], size);
      continue;
    }
    std::uint64_t offset = gaps.take(size, upper - lower < long_lived);
    if (offset == kNowhere) {
      if (capacity != 0) return false;
      const std::uint64_t more = size - gaps.last(end);
      gaps.give(end, more);
      end += more;
      offset = gaps.take(size, false);
    }
    result.offsets[i] = offset;
    result.footprint = std::max(result.footprint, offset + size);
  }
  return true;
}

// Search over capacities and over what counts as long-lived.
void search_in_time(std::span<const Interval> intervals, std::span<const Edge> edges, std::uint64_t load,
                    std::uint64_t work, Packing& best) {
  // What one step of the trees costs, in steps of the other searches.
  constexpr std::uint64_t kStepsAnEdge = 200;
  std::uint64_t lifetimes = 0;
  for (const Interval& each : intervals) lifetimes = std::max(lifetimes, each.upper - each.lower);
  std::uint64_t steps = 0;
  Packing tried;
  for (unsigned level = 0; level < static_cast<unsigned>(std::bit_width(lifetimes)); level += 2) {
    // Only what the best packing can be beaten by is tried, by halves.
    std::uint64_t low = load, high = best.footprint;
    while (high - low > load / 2000) {
      if ((steps + edges.size()) * kStepsAnEdge > work) return;
      const std::uint64_t capacity = low + (high - low) / 2;
      if (place_in_time(intervals, edges, capacity, lifetimes >> level, tried, steps)) {
        high = tried.footprint;
        if (tried.footprint < best.footprint) std::swap(best, tried);
      } else {
        low = capacity + 1;
      }
    }
  }
}

}  // namespace

std::uint64_t load_of(std::span<const Interval> intervals) {
  std::uint64_t live = 0, most = 0;
  for (const Edge& edge : edges_of(intervals)) {
    if (edge.begins)
      most = std::max(most, live += intervals[edge.interval].size);
    else
      live -= intervals[edge.interval].size;
  }
  return most;
}

Packing pack(std::span<const Interval> intervals, std::uint64_t work) {
  constexpr std::uint64_t kMostPairs = 1 << 22;
  const std::vector<Edge> edges = edges_of(intervals);
  const std::uint64_t load = load_of(intervals);
  Packing best;
  std::uint64_t steps = 0;
  place_in_time(intervals, edges, 0, 0, best, steps);
  if (best.footprint == load) return best;
  if (OrderSearch::count_pairs(edges, kMostPairs) > kMostPairs) {
    search_in_time(intervals, edges, load, work, best);
    return best;
  }
  OrderSearch orders(intervals, edges, load);
  orders.run(best, work / 8);
  search_skylines(intervals, edges, load, work - work / 8, orders, best);
  return best;
}

}  // namespace memtool
