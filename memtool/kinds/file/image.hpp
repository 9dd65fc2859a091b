// The description of a workload of files, and the figures measured.
#pragma once

#include <cstdint>

#include "engine/instruments/histogram.hpp"

namespace memtool::file {

// In the layout and order of memtool/kinds/file/work.py.
enum class Pattern : std::uint64_t { scan, random_read, random_write, append };
enum class Cache : std::uint64_t { warm, cold, limited };
enum class Sync : std::uint64_t { none, msync, fsync, fdatasync };
enum class Kind : std::uint64_t { regular, device, memory };
constexpr const char* kZero = "/dev/zero";  // the only device to which memtool writes

struct Image {
  static constexpr std::uint64_t kMagic = 0x31656c6966;  // "file1"

  std::uint64_t magic;
  std::uint64_t seed;
  std::uint64_t descriptor;  // of the file, in the process that started this one
  Kind kind;
  std::uint64_t bytes;     // of the file; if it is appended to, at the end
  std::uint64_t block;     // bytes of an access
  std::uint64_t accesses;  // in a round
  Pattern pattern;
  Cache cache;
  std::uint64_t limit;  // of the page cache, in bytes; 0: none
  Sync sync;
  std::uint64_t every;  // number of accesses between two syncs
  std::uint64_t depth;  // accesses that a ring has in flight
  char group[512];      // folder of the control group below which a limited one is created
  char home[512];       // folder of this process's control group
  char device[256];     // path of the device

  [[nodiscard]] bool writes() const noexcept { return pattern == Pattern::random_write || pattern == Pattern::append; }
};

// results.py declares these. In bytes unless stated otherwise; kNotApplicable: the way has none, or nothing counts
// them.
struct Memory {
  std::uint64_t cached_before;  // bytes of the file in the page cache
  std::uint64_t cached_after;
  std::uint64_t minor_faults;
  std::uint64_t major_faults;
  std::uint64_t resident;    // of the mapping, before it is unmapped
  std::uint64_t huge;        // the part of `resident` in huge pages
  std::uint64_t dirty;       // bytes of the file in the page cache, before the final sync
  std::uint64_t read;        // bytes read from the device
  std::uint64_t shootdowns;  // TLB shootdowns on other processors, by all programs of the machine
};

struct Checked {
  std::uint64_t blocks;  // blocks that were read, or found in the file, with the right contents
  std::uint64_t bytes;   // of the file at the end
};

struct Latencies {
  std::uint64_t access_maximum;
  std::uint64_t sync_maximum;
  std::uint64_t floor_maximum;
  std::uint64_t access[Histogram::kBuckets];
  std::uint64_t sync[Histogram::kBuckets];
  std::uint64_t floor[Histogram::kBuckets];
};

}  // namespace memtool::file
