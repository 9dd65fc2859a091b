// The input of the offline packer: blocks in a normal form of their lifetimes.
//
// A packing depends only on which blocks are alive together. So time is cut into sections; a new one starts wherever a
// block begins after another has ended. Blocks are sorted. So the result does not depend on the unit of time, on the
// order of the blocks, or on the order of blocks at one instant.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/packing/packing.hpp"

namespace memtool::packing {

using Index = std::uint32_t;
constexpr std::uint64_t kNowhere = std::numeric_limits<std::uint64_t>::max();

struct Block {
  Index begin;  // sections [begin, end)
  Index end;
  std::uint64_t size;  // at least 1
  std::uint64_t alignment = 1;
  friend auto operator<=>(const Block&, const Block&) = default;
};

// Blocks that are connected in time: no other block overlaps the time span that they cover together.
struct Instance {
  std::vector<Block> blocks;  // sorted
  Index sections = 0;
  std::uint64_t load = 0;      // largest sum of sizes in a section
  std::vector<Index> origins;  // for each block, the interval from which it comes

  [[nodiscard]] std::size_t size() const noexcept { return blocks.size(); }
};

// Parts that share no section of time, in the order of decreasing load. Empty intervals are in none of them.
std::vector<Instance> instances_of(std::span<const Interval> intervals);

// The live bytes in each section.
std::vector<std::uint64_t> profile_of(const Instance& instance);

// For each block, the largest sum of live bytes in its sections.
std::vector<std::uint64_t> crowds_of(const Instance& instance);

// For each block, the number of blocks that begin or end while it is alive, including itself.
std::vector<Index> lengths_of(const Instance& instance);

// The number of pairs of blocks that are alive together. Counting stops above `most`.
std::uint64_t count_pairs(const Instance& instance, std::uint64_t most);

// Lists of lists, stored one after another.
struct Lists {
  std::vector<std::size_t> first;  // list i is [first[i], first[i + 1])
  std::vector<Index> items;
  [[nodiscard]] std::span<const Index> operator[](std::size_t i) const noexcept {
    return std::span(items).subspan(first[i], first[i + 1] - first[i]);
  }
};

// For each section, the blocks that begin in it.
Lists begins_of(const Instance& instance);

// For each section, and for the end behind the last one, the blocks that ended just before it.
Lists ends_of(const Instance& instance);

// For each section, the live blocks.
Lists members_of(const Instance& instance);

// The best offsets so far, in the instance's order of blocks.
struct Offsets {
  std::uint64_t footprint = kNowhere;
  std::vector<std::uint64_t> of;

  // Keeps `offsets` if they need fewer bytes.
  void keep(std::uint64_t bytes, const std::vector<std::uint64_t>& offsets) {
    if (bytes >= footprint) return;
    footprint = bytes;
    of = offsets;
  }
};

// The outcome of a search for a packing within a capacity; none: no such packing exists.
enum class Outcome { packed, none, spent };

// The remaining steps, each about a nanosecond. Steps are counted, not timed, so that the same blocks give the same
// packing everywhere.
class Work {
 public:
  explicit Work(std::uint64_t steps) noexcept : left_(steps) {}
  void spend(std::uint64_t steps) noexcept { left_ -= left_ < steps ? left_ : steps; }
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }
  [[nodiscard]] bool spent() const noexcept { return left_ == 0; }

 private:
  std::uint64_t left_;
};

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014), so that the search takes the same path on every machine.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
  }
  // Returns a number below `bound`, which must not be 0.
  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>(next() % bound); }
  // In [0, 1).
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace memtool::packing
