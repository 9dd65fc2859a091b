// The ways of access. Each has a row. patterns.cpp, loads.cpp, sharing.cpp and aligned.cpp implement some each.
#pragma once

#include <cstdint>

#include "engine/generate/random.hpp"
#include "engine/replay/kernel.hpp"
#include "kinds/rounds.hpp"

namespace memtool::access {

// The description of a workload, in the layout of memtool/kinds/access/work.py.
struct Image {
  static constexpr std::uint64_t kMagic = 0x31737365636361;  // "access1"

  std::uint64_t magic;
  std::uint64_t seed;
  std::uint64_t blocks;
  std::uint64_t smallest, largest;  // sizes are uniform between them, both included
  std::uint64_t alignment;
  std::uint64_t every;     // distance between two accesses in a block, in bytes
  std::uint64_t accesses;  // in one round; with several threads, for each
  std::uint64_t stride;    // for the strided ways, in accesses
  std::uint64_t ahead;     // for the way that prefetches, in accesses
  std::uint64_t pages;     // over which loads are spread; twice as many if each load crosses into another
  std::uint64_t threads;   // threads that count
};

// results.py declares the same structure. Zeroes if a way takes no memory from an allocator.
struct MemoryFigures {
  std::uint64_t blocks;
  std::uint64_t asked_bytes;
  std::uint64_t aligned_bytes;    // sum of the sizes, each rounded up to the alignment
  std::uint64_t footprint_bytes;  // kNotApplicable: the heap is not on a region
  std::uint64_t free_bytes;
  std::uint64_t metadata_bytes;
  std::uint64_t across_lines;  // blocks that occupy more cache lines than necessary
  std::uint64_t neighbours;    // blocks that share a cache line with the next block allocated
  std::uint64_t minor_faults;  // of allocating all blocks and writing to each of their pages
};

constexpr std::uint64_t kLine = 64;
constexpr std::uint64_t kPage = 4096;

// Each function runs the request, and returns false if it does not implement the way.
bool walk(KernelCall& call, const Image& image);
bool load(KernelCall& call, const Image& image);
bool count(KernelCall& call, const Image& image);
bool align(KernelCall& call, const Image& image);

}  // namespace memtool::access
