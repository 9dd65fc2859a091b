#include "engine/packing/in_time.hpp"

#include <algorithm>
#include <bit>
#include <iterator>
#include <map>
#include <set>
#include <utility>

namespace memtool::packing {
namespace {

// The gaps of an address space that ends at `end`, by address and by size.
class Gaps {
 public:
  explicit Gaps(std::uint64_t end) {
    if (end > 0) add(0, end);
  }

  // Takes memory for a block from the tightest gap, at its low or high end. Returns kNowhere if no gap fits. If
  // alignment may make a gap too small, only some gaps are tried.
  std::uint64_t take(const Block& block, bool high) {
    constexpr unsigned kLooks = 32;
    auto candidate = by_size_.lower_bound({block.size, 0});
    for (unsigned looks = 0; candidate != by_size_.end() && place_in(*candidate, block, high) == kNowhere; ++looks)
      candidate = looks < kLooks ? std::next(candidate) : by_size_.lower_bound({block.size + block.alignment - 1, 0});
    if (candidate == by_size_.end()) return kNowhere;
    const auto gap = *candidate;
    return carve(gap, block.size, place_in(gap, block, high));
  }

  // Takes memory for a block from the gap that ends at `end`, which is extended as needed. Returns the offset and
  // raises the end.
  std::uint64_t extend(const Block& block, std::uint64_t& end) {
    const std::uint64_t bytes = last(end), start = end - bytes;
    const std::uint64_t offset = (start + block.alignment - 1) & -block.alignment;
    if (bytes != 0) remove(start, bytes);
    if (offset > start) add(start, offset - start);
    end = offset + block.size;
    return offset;
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

  // Returns the gap that ends at `end`; 0 bytes: there is none.
  [[nodiscard]] std::uint64_t last(std::uint64_t end) const {
    if (by_address_.empty()) return 0;
    const auto [offset, bytes] = *by_address_.rbegin();
    return offset + bytes == end ? bytes : 0;
  }

 private:
  using Gap = std::pair<std::uint64_t, std::uint64_t>;  // size and offset

  // Returns where a block lies in a gap, or kNowhere if it does not fit.
  [[nodiscard]] static std::uint64_t place_in(const Gap& gap, const Block& block, bool high) {
    const auto [bytes, offset] = gap;
    const std::uint64_t end = offset + bytes;
    const std::uint64_t at =
        high ? (end - block.size) & -block.alignment : (offset + block.alignment - 1) & -block.alignment;
    return at >= offset && at + block.size <= end ? at : kNowhere;
  }
  std::uint64_t carve(const Gap& gap, std::uint64_t size, std::uint64_t at) {
    const auto [bytes, offset] = gap;
    remove(offset, bytes);
    if (at > offset) add(offset, at - offset);
    if (at + size < offset + bytes) add(at + size, offset + bytes - at - size);
    return at;
  }
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

// The number of steps charged for one operation on the trees.
constexpr std::uint64_t kStepsAnEdge = 200;

class InTime {
 public:
  explicit InTime(const Instance& instance)
      : instance_(instance), endings_(ends_of(instance)), lengths_(lengths_of(instance)), offsets_(instance.size()) {}

  // Places the blocks into `capacity` bytes, or as many as needed (0). Blocks that live for at least `long_lived`
  // events go to the low end of their gap, the others to the high end. Returns the footprint, or kNowhere if they do
  // not fit or the work is spent.
  std::uint64_t run(std::uint64_t capacity, std::uint64_t long_lived, Work& work) {
    Gaps gaps(capacity);
    std::uint64_t end = capacity, footprint = 0;
    Index section = 0;
    for (Index i = 0; i < instance_.size(); ++i) {
      const Block& block = instance_.blocks[i];
      while (section < block.begin)
        for (const Index j : endings_[++section]) gaps.give(offsets_[j], instance_.blocks[j].size);
      work.spend(2 * kStepsAnEdge);
      std::uint64_t offset = gaps.take(block, lengths_[i] < long_lived);
      if (offset == kNowhere) {
        if (capacity != 0) return kNowhere;
        offset = gaps.extend(block, end);
      }
      offsets_[i] = offset;
      footprint = std::max(footprint, offset + block.size);
    }
    return footprint;
  }

  [[nodiscard]] const std::vector<std::uint64_t>& offsets() const noexcept { return offsets_; }
  [[nodiscard]] Index longest() const { return std::ranges::max(lengths_); }

 private:
  const Instance& instance_;
  Lists endings_;
  std::vector<Index> lengths_;
  std::vector<std::uint64_t> offsets_;
};

}  // namespace

void place_in_time(const Instance& instance, Work& work, Offsets& best) {
  InTime heap(instance);
  const std::uint64_t footprint = heap.run(0, 0, work);
  best.keep(footprint, heap.offsets());
}

void search_in_time(const Instance& instance, std::uint64_t target, Work& work, Offsets& best) {
  InTime heap(instance);
  const auto levels = static_cast<unsigned>(std::bit_width(heap.longest()));
  for (unsigned level = 0; level < levels && best.footprint > target; ++level) {
    // A binary search that only looks for improvements on the best packing.
    std::uint64_t low = target, high = best.footprint;
    while (high - low > target / 2000 && !work.spent()) {
      const std::uint64_t capacity = low + (high - low) / 2;
      const std::uint64_t footprint = heap.run(capacity, heap.longest() >> level, work);
      if (footprint == kNowhere) {
        low = capacity + 1;
      } else {
        high = footprint;
        best.keep(footprint, heap.offsets());
      }
    }
  }
}

}  // namespace memtool::packing
