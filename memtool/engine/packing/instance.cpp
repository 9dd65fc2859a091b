#include "engine/packing/instance.hpp"

#include <algorithm>
#include <numeric>

namespace memtool::packing {
namespace {

struct Edge {
  std::uint64_t time;
  Index interval;
  bool begins;
};

// At the same instant, ends come before beginnings.
std::vector<Edge> edges_of(std::span<const Interval> intervals) {
  std::vector<Edge> edges;
  edges.reserve(2 * intervals.size());
  for (Index i = 0; i < intervals.size(); ++i) {
    if (intervals[i].lower >= intervals[i].upper || intervals[i].size == 0) continue;
    edges.push_back({intervals[i].lower, i, true});
    edges.push_back({intervals[i].upper, i, false});
  }
  std::ranges::sort(edges, {}, [](const Edge& edge) { return std::pair(edge.time, edge.begins); });
  return edges;
}

void complete(Instance& part) {
  std::vector<Index> order(part.size());
  std::iota(order.begin(), order.end(), 0U);
  std::ranges::stable_sort(order, {}, [&](Index i) { return part.blocks[i]; });
  Instance sorted;
  sorted.sections = part.sections;
  sorted.blocks.reserve(order.size());
  sorted.origins.reserve(order.size());
  for (const Index i : order) {
    sorted.blocks.push_back(part.blocks[i]);
    sorted.origins.push_back(part.origins[i]);
  }
  part = std::move(sorted);
  part.load = std::ranges::max(profile_of(part));
}

// Counts into first[i + 1], for a prefix sum.
template <typename Visit>
Lists listed(std::size_t lists, const Visit& visit) {
  Lists result;
  result.first.assign(lists + 1, 0);
  visit([&](std::size_t list, Index) { ++result.first[list + 1]; });
  std::partial_sum(result.first.begin(), result.first.end(), result.first.begin());
  result.items.resize(result.first.back());
  std::vector<std::size_t> next(result.first.begin(), result.first.end() - 1);
  visit([&](std::size_t list, Index item) { result.items[next[list]++] = item; });
  return result;
}

}  // namespace

std::vector<Instance> instances_of(std::span<const Interval> intervals) {
  std::vector<Instance> parts;
  std::vector<Index> place(intervals.size(), 0);  // position in the part that is being built
  std::size_t alive = 0;
  bool ended = true;
  for (const Edge& edge : edges_of(intervals)) {
    if (alive == 0) {
      parts.emplace_back();
      ended = true;
    }
    Instance& part = parts.back();
    if (edge.begins) {
      if (ended) ++part.sections;
      ended = false;
      place[edge.interval] = static_cast<Index>(part.size());
      const Interval& interval = intervals[edge.interval];
      part.blocks.push_back({part.sections - 1, part.sections, interval.size, interval.alignment});
      part.origins.push_back(edge.interval);
      ++alive;
    } else {
      ended = true;
      part.blocks[place[edge.interval]].end = part.sections;
      --alive;
    }
  }
  for (Instance& part : parts) complete(part);
  std::ranges::stable_sort(parts, std::greater<>{}, &Instance::load);
  return parts;
}

std::vector<std::uint64_t> profile_of(const Instance& instance) {
  std::vector<std::uint64_t> profile(instance.sections + 1, 0);
  for (const Block& block : instance.blocks) {
    profile[block.begin] += block.size;
    profile[block.end] -= block.size;  // wraps around, and back again in the prefix sum
  }
  std::partial_sum(profile.begin(), profile.end(), profile.begin());
  profile.pop_back();
  return profile;
}

std::vector<std::uint64_t> crowds_of(const Instance& instance) {
  // A sparse table: levels[k][s] is the maximum over [s, s + 2^k).
  std::vector<std::vector<std::uint64_t>> levels{profile_of(instance)};
  for (std::size_t width = 1; 2 * width <= instance.sections; width *= 2) {
    const auto& below = levels.back();
    std::vector<std::uint64_t> level(instance.sections - 2 * width + 1);
    for (std::size_t s = 0; s < level.size(); ++s) level[s] = std::max(below[s], below[s + width]);
    levels.push_back(std::move(level));
  }
  std::vector<std::uint64_t> crowds;
  crowds.reserve(instance.size());
  for (const Block& block : instance.blocks) {
    std::size_t level = 0;
    while (std::size_t{2} << level <= block.end - block.begin) ++level;
    crowds.push_back(std::max(levels[level][block.begin], levels[level][block.end - (std::size_t{1} << level)]));
  }
  return crowds;
}

std::vector<Index> lengths_of(const Instance& instance) {
  std::vector<Index> edges(instance.sections + 1,
                           0);  // ends and beginnings before section s, then including the beginnings in it
  std::vector<Index> begins(instance.sections + 1, 0);
  for (const Block& block : instance.blocks) {
    ++begins[block.begin];
    ++edges[block.end];
  }
  // edges[s]: number of blocks that ended before s begins, and of those that began before it.
  for (Index s = 1; s <= instance.sections; ++s) edges[s] += edges[s - 1] + begins[s - 1];
  std::vector<Index> lengths;
  lengths.reserve(instance.size());
  for (const Block& block : instance.blocks) lengths.push_back(edges[block.end] - edges[block.begin]);
  return lengths;
}

std::uint64_t count_pairs(const Instance& instance, std::uint64_t most) {
  // The blocks are sorted by begin. Those that began before and have not ended are alive.
  std::vector<Index> ends(instance.sections + 1, 0);
  std::uint64_t pairs = 0, alive = 0;
  Index section = 0;
  for (const Block& block : instance.blocks) {
    while (section < block.begin) alive -= ends[++section];
    pairs += alive++;
    ++ends[block.end];
    if (pairs > most) break;
  }
  return pairs;
}

Lists begins_of(const Instance& instance) {
  return listed(instance.sections, [&](const auto& add) {
    for (Index i = 0; i < instance.size(); ++i) add(instance.blocks[i].begin, i);
  });
}

Lists ends_of(const Instance& instance) {
  return listed(std::size_t{instance.sections} + 1, [&](const auto& add) {
    for (Index i = 0; i < instance.size(); ++i) add(instance.blocks[i].end, i);
  });
}

Lists members_of(const Instance& instance) {
  return listed(instance.sections, [&](const auto& add) {
    for (Index i = 0; i < instance.size(); ++i)
      for (Index s = instance.blocks[i].begin; s < instance.blocks[i].end; ++s) add(s, i);
  });
}

}  // namespace memtool::packing
