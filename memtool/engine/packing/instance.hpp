// What the offline packer works on: blocks in the normal form of their life spans.
//
// Only which blocks are alive together matters to a packing. So time is cut into sections, a new one wherever something
// begins after something has ended, and blocks are sorted: neither the unit of time nor the order of the blocks, nor in
// which order blocks of one instant come, changes what is found.
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

// Blocks of which each is alive together with another or alone, in a span of time that no other block reaches into.
struct Instance {
  std::vector<Block> blocks;  // sorted
  Index sections = 0;
  std::uint64_t load = 0;      // greatest sum of sizes in a section
  std::vector<Index> origins;  // of each block, the interval it comes from

  [[nodiscard]] std::size_t size() const noexcept { return blocks.size(); }
};

// Parts that share no section of time, those of the greatest load first. Empty intervals are in none of them.
std::vector<Instance> instances_of(std::span<const Interval> intervals);

// How much is alive in each section.
std::vector<std::uint64_t> profile_of(const Instance& instance);

// Of each block, the most that is alive in one of its sections.
std::vector<std::uint64_t> crowds_of(const Instance& instance);

// Of each block, how many blocks begin and end while it is alive, itself among them.
std::vector<Index> lengths_of(const Instance& instance);

// How many pairs of blocks are alive together; counting stops above `most`.
std::uint64_t count_pairs(const Instance& instance, std::uint64_t most);

// Lists of lists, one after another.
struct Lists {
  std::vector<std::size_t> first;  // of list i: [first[i], first[i + 1])
  std::vector<Index> items;
  [[nodiscard]] std::span<const Index> operator[](std::size_t i) const noexcept {
    return std::span(items).subspan(first[i], first[i + 1] - first[i]);
  }
};

// Of each section, the blocks that begin in it.
Lists begins_of(const Instance& instance);

// Of each section, and of the end behind the last, the blocks that have ended just before it.
Lists ends_of(const Instance& instance);

// Of each section, the blocks that are alive in it.
Lists members_of(const Instance& instance);

// The best offsets so far, in an instance's order of blocks.
struct Offsets {
  std::uint64_t footprint = kNowhere;
  std::vector<std::uint64_t> of;

  // Takes offsets that need less.
  void keep(std::uint64_t bytes, const std::vector<std::uint64_t>& offsets) {
    if (bytes >= footprint) return;
    footprint = bytes;
    of = offsets;
  }
};

// Of a search for a packing within a capacity; none: there is none.
enum class Outcome { packed, none, spent };

// Steps that are left, each about a nanosecond; counted, so that the same blocks give the same packing everywhere.
class Work {
 public:
  explicit Work(std::uint64_t steps) noexcept : left_(steps) {}
  void spend(std::uint64_t steps) noexcept { left_ -= left_ < steps ? left_ : steps; }
  [[nodiscard]] std::uint64_t left() const noexcept { return left_; }
  [[nodiscard]] bool spent() const noexcept { return left_ == 0; }

 private:
  std::uint64_t left_;
};

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014): the search must go the same way on every machine.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
  }
  // Less than `bound`, which must not be 0.
  std::size_t below(std::size_t bound) noexcept { return static_cast<std::size_t>(next() % bound); }
  // In [0, 1).
  double unit() noexcept { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  std::uint64_t state_;
};

}  // namespace memtool::packing
