#include "engine/packing/first_fit.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace memtool::packing {

FirstFit::FirstFit(const Instance& instance)
    : instance_(instance), leaves_(std::bit_ceil(instance.sections)), nodes_(2 * std::size_t{leaves_}) {}

void FirstFit::walk(const Block& block) {
  inside_.clear();
  above_.clear();
  for (Index left = block.begin + leaves_, right = block.end + leaves_; left < right; left /= 2, right /= 2) {
    if (left % 2 == 1) inside_.push_back(left++);
    if (right % 2 == 1) inside_.push_back(--right);
  }
  // Each ancestor of one of the block's nodes is an ancestor of its first or of its last section.
  const auto inside = [&](Index node) { return std::ranges::find(inside_, node) != inside_.end(); };
  Index left = block.begin + leaves_, right = block.end - 1 + leaves_;
  while (!inside(left)) left /= 2;
  while (!inside(right)) right /= 2;
  for (left /= 2, right /= 2; left != right; left > right ? left /= 2 : right /= 2)
    above_.push_back(std::max(left, right));
  for (; left >= 1; left /= 2) above_.push_back(left);
}

std::uint64_t FirstFit::lowest(const Block& block, std::uint64_t limit) {
  cursors_.clear();
  for (const Index node : inside_)
    if (!nodes_[node].any.empty()) cursors_.emplace_back(&nodes_[node].any, 0);
  for (const Index node : above_)
    if (!nodes_[node].whole.empty()) cursors_.emplace_back(&nodes_[node].whole, 0);
  std::uint64_t offset = 0;
  // Goes round the cursors until all of them agree with the current offset.
  for (std::size_t at = 0, agreed = 0; agreed < cursors_.size(); at = at + 1 == cursors_.size() ? 0 : at + 1) {
    auto& [spans, next] = cursors_[at];
    ++agreed;
    std::size_t stride = 1;
    while (next + stride < spans->size() && (*spans)[next + stride].second <= offset) stride *= 2, ++steps_;
    const auto from = spans->begin() + static_cast<std::ptrdiff_t>(next);
    const auto to = spans->begin() + static_cast<std::ptrdiff_t>(std::min(next + stride + 1, spans->size()));
    const auto span_behind =
        std::upper_bound(from, to, offset, [](std::uint64_t o, const auto& span) { return o < span.second; });
    next = static_cast<std::size_t>(span_behind - spans->begin());
    steps_ += 8;
    if (next < spans->size() && (*spans)[next].first < offset + block.size) {
      offset = ((*spans)[next].second + block.alignment - 1) & -block.alignment;
      if (offset + block.size >= limit) return kNowhere;
      agreed = 0;  // the gap behind may be too small as well
      if (block.alignment == 1) ++next;
    }
  }
  return offset + block.size >= limit ? kNowhere : offset;
}

void FirstFit::add(Spans& spans, std::uint64_t low, std::uint64_t high) {
  // Merges the spans that touch [low, high) into one.
  auto first = std::lower_bound(spans.begin(), spans.end(), low,
                                [](const auto& span, std::uint64_t l) { return span.second < l; });
  auto last = first;
  while (last != spans.end() && last->first <= high) {
    low = std::min(low, last->first);
    high = std::max(high, last->second);
    ++last;
  }
  steps_ += 16 + static_cast<std::uint64_t>(last - first);
  if (first == last) {
    steps_ += static_cast<std::uint64_t>(spans.end() - first) / 4;
    spans.insert(first, {low, high});
    return;
  }
  *first = {low, high};
  if (last - first > 1) steps_ += static_cast<std::uint64_t>(spans.end() - last) / 4;
  spans.erase(first + 1, last);
}

void FirstFit::put(const Block& block, std::uint64_t offset) {
  const std::uint64_t top = offset + block.size;
  for (const Index node : inside_) {
    add(nodes_[node].whole, offset, top);
    add(nodes_[node].any, offset, top);
  }
  for (const Index node : above_) add(nodes_[node].any, offset, top);
}

std::uint64_t FirstFit::run(std::span<const Index> order, std::uint64_t limit, Work& work) {
  for (Node& node : nodes_) {
    node.whole.clear();
    node.any.clear();
  }
  offsets_.assign(instance_.size(), 0);
  work.spend(nodes_.size());
  std::uint64_t footprint = 0;
  for (const Index i : order) {
    const Block& block = instance_.blocks[i];
    last_ = i;
    steps_ = 0;
    walk(block);
    const std::uint64_t offset = lowest(block, limit);
    if (offset == kNowhere) return kNowhere;
    put(block, offset);
    work.spend(steps_ + 4 * (inside_.size() + above_.size()));
    if (work.spent()) return kNowhere;
    offsets_[i] = offset;
    footprint = std::max(footprint, offset + block.size);
  }
  return footprint;
}

std::vector<std::vector<Index>> orders_of(const Instance& instance) {
  using Weights = std::array<double, 3>;
  const std::vector<std::uint64_t> crowds = crowds_of(instance);
  const std::vector<Index> lengths = lengths_of(instance);
  std::vector<std::vector<Index>> orders;
  const auto by = [&](const auto& weigh) {
    std::vector<std::pair<Weights, Index>> keys;
    keys.reserve(instance.size());
    for (Index i = 0; i < instance.size(); ++i) {
      const Block& block = instance.blocks[i];
      const auto size = static_cast<double>(block.size);
      keys.emplace_back(weigh(size, static_cast<double>(lengths[i]), static_cast<double>(crowds[i]), block), i);
    }
    std::ranges::stable_sort(keys, std::greater<>{}, &std::pair<Weights, Index>::first);
    auto& order = orders.emplace_back();
    order.reserve(keys.size());
    for (const auto& key : keys) order.push_back(key.second);
  };
  const auto level = [](double value) { return std::floor(std::log2(value)); };
  by([](double size, double, double, const Block& block) {
    return Weights{-static_cast<double>(block.begin), size, 0};
  });
  by([](double size, double length, double, const Block&) { return Weights{size, length, 0}; });
  by([](double size, double length, double, const Block&) { return Weights{size * length, size, 0}; });
  by([](double size, double length, double, const Block&) { return Weights{length, size, 0}; });
  by([](double size, double length, double crowd, const Block&) { return Weights{crowd, length, size * length}; });
  by([&](double size, double, double, const Block& block) {
    return Weights{level(size), -static_cast<double>(block.begin), size};
  });
  by([&](double size, double length, double, const Block&) { return Weights{level(length), size, length}; });
  by([&](double size, double length, double, const Block& block) {
    return Weights{level(length), -static_cast<double>(block.begin), size};
  });
  return orders;
}

void search_orders(const Instance& instance, std::uint64_t target, Work& work, Offsets& best) {
  FirstFit fit(instance);
  std::vector<Index> order;
  std::uint64_t least = kNowhere;
  for (auto& candidate : orders_of(instance)) {
    if (best.footprint <= target || work.spent()) return;
    // An order slightly worse than the best may be the better one to start from, but its result is not worth
    // completing.
    const std::uint64_t footprint = fit.run(candidate, best.footprint, work);
    if (footprint < least) {
      least = footprint;
      order = std::move(candidate);
    }
    if (footprint != kNowhere) best.keep(footprint, fit.offsets());
  }
  if (order.empty()) return;
  // Blocks that obstruct a better packing are placed earlier; the more often they did so, the earlier (squeaky wheels).
  Draw draw(42);
  std::vector<double> keys(instance.size());
  for (std::size_t at = 0; at < order.size(); ++at) keys[order[at]] = static_cast<double>(at);
  while (best.footprint > target && !work.spent()) {
    const std::uint64_t limit = best.footprint;
    const std::uint64_t footprint = fit.run(order, limit, work);
    if (footprint != kNowhere) best.keep(footprint, fit.offsets());
    if (footprint == kNowhere) {
      const Index blamed = fit.last();
      keys[blamed] *= draw.unit();
    } else {
      for (Index i = 0; i < instance.size(); ++i)
        if (fit.offsets()[i] + instance.blocks[i].size == footprint) keys[i] *= draw.unit();
    }
    std::ranges::sort(order, {}, [&](Index i) { return std::pair(keys[i], i); });
    work.spend(16 * instance.size());
  }
}

}  // namespace memtool::packing
