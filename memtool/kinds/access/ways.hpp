// The ways of access, each of which has a row: patterns.cpp, loads.cpp, sharing.cpp and aligned.cpp have some each.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/replay/kernel.hpp"
#include "kinds/rounds.hpp"

namespace memtool::access {

// What a workload asks for, as memtool/kinds/access/work.py lays it out.
struct Image {
  static constexpr std::uint64_t kMagic = 0x31737365636361;  // "access1"

  std::uint64_t magic;
  std::uint64_t seed;
  std::uint64_t blocks;
  std::uint64_t smallest, largest;  // sizes are uniform between them, both included
  std::uint64_t alignment;
  std::uint64_t every;     // from one access of a block to the next, bytes
  std::uint64_t accesses;  // of one round; of several threads, each
  std::uint64_t stride;    // of the strided ways, in accesses
  std::uint64_t ahead;     // of the way that prefetches, in accesses
  std::uint64_t pages;     // that loads are spread over, twice as many where each crosses into another
  std::uint64_t threads;   // that count
};

// results.py has the same. Zeroes where a way takes no memory from an allocator.
struct MemoryFigures {
  std::uint64_t blocks;
  std::uint64_t asked_bytes;
  std::uint64_t aligned_bytes;    // with each block rounded up to the alignment
  std::uint64_t footprint_bytes;  // kNotApplicable: the heap is not on a region
  std::uint64_t free_bytes;
  std::uint64_t metadata_bytes;
  std::uint64_t across_lines;  // blocks that lie on more cache lines than they need
  std::uint64_t neighbours;    // blocks that share a cache line with the one that is allocated next
  std::uint64_t minor_faults;  // of allocating them all, and writing to each page of each
};

constexpr std::uint64_t kLine = 64;
constexpr std::uint64_t kPage = 4096;

// The same draws on every machine (splitmix64: Steele, Lea and Flood, OOPSLA 2014).
class Draw {
 public:
  explicit Draw(std::uint64_t seed) noexcept : state_(seed) {}
  // Uniform in [0, bound).
  std::uint64_t below(std::uint64_t bound) noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(z ^ z >> 31) * bound >> 64);
  }

 private:
  std::uint64_t state_;
};

// Each does what is asked for; false: the way is none of its own.
bool walk(KernelCall& call, const Image& image);
bool load(KernelCall& call, const Image& image);
bool count(KernelCall& call, const Image& image);
bool align(KernelCall& call, const Image& image);

}  // namespace memtool::access
