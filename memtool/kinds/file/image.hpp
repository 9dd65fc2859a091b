// What a workload of files asks for, and what is found of it.
#pragma once

#include <cstdint>

#include "engine/instruments/histogram.hpp"

namespace memtool::file {

// As memtool/kinds/file/work.py lays them out, in this order.
enum class Pattern : std::uint64_t { scan, random_read, random_write, append };
enum class Cache : std::uint64_t { warm, cold, limited };
enum class Sync : std::uint64_t { none, msync, fsync, fdatasync };
enum class Kind : std::uint64_t { regular, device, memory };
constexpr const char* kZero = "/dev/zero";  // the only device that is written

struct Image {
  static constexpr std::uint64_t kMagic = 0x31656c6966;  // "file1"

  std::uint64_t magic;
  std::uint64_t seed;
  std::uint64_t descriptor;  // of the file, in the process that started this one
  Kind kind;
  std::uint64_t bytes;     // of the file; of one that is appended to, in the end
  std::uint64_t block;     // bytes of an access
  std::uint64_t accesses;  // of a round
  Pattern pattern;
  Cache cache;
  std::uint64_t limit;  // of the page cache, bytes; 0: none
  Sync sync;
  std::uint64_t every;  // accesses from one sync to the next
  std::uint64_t depth;  // accesses that a ring has in flight
  char group[512];      // folder of the control group below which one is made that has the limit
  char home[512];       // folder of the one in which this process is
  char device[256];     // its path

  [[nodiscard]] bool writes() const noexcept { return pattern == Pattern::random_write || pattern == Pattern::append; }
};

// results.py has these. Bytes where nothing else is said; kNotApplicable: the way has none, or nothing counts them.
struct Memory {
  std::uint64_t cached_before;  // of the file, in the page cache
  std::uint64_t cached_after;
  std::uint64_t minor_faults;
  std::uint64_t major_faults;
  std::uint64_t resident;    // of the mapping, before it goes
  std::uint64_t huge;        // of these, in huge pages
  std::uint64_t dirty;       // of the file, in the page cache, before anything is made durable at the end
  std::uint64_t read;        // from the device
  std::uint64_t shootdowns;  // of translations of addresses, on other processors, by all programs of the machine
};

struct Checked {
  std::uint64_t blocks;  // that were read, or found in the file, as they must be
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
