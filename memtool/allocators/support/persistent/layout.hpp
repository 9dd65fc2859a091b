// The layout of a persistent heap in its region. Every position is an offset from the region's base, so another process
// may map the region at a different address.
//
// The region is cut into chunks of 64 KiB. The first holds the head. Each of the others begins a slab of blocks of one
// class, a large block of several chunks, or a run of free chunks; its first word says which. Every change of ownership
// changes one word: a word of a slab's bitmap, or the state of a run. Everything else (lists, counts and hints) is
// derived from those words, and is rebuilt if a process has died.
#pragma once

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace memtool::persistent {

using Offset = std::uint64_t;  // 0: none

inline constexpr std::uint64_t kMagic = 0x3150414548544D4Du;  // "MMTHEAP1"
inline constexpr std::uint64_t kChunk = 64 * 1024;
inline constexpr std::uint64_t kHeadOfChunk = 64;
inline constexpr unsigned kClasses = 38;
inline constexpr std::uint64_t kLargestSmall = 30720;
inline constexpr std::uint64_t kLargestAlignment = 4096;

// 16 to 128 in steps of 16, then four for each power of two up to 16 KiB, then sizes of which a chunk holds three and
// two.
constexpr std::uint64_t size_of_class(unsigned index) noexcept {
  if (index < 8) return 16 * (std::uint64_t{index} + 1);
  if (index >= 36) return index == 36 ? 20480 : kLargestSmall;
  const unsigned octave = (index - 8) / 4;
  return (std::uint64_t{128} << octave) + (std::uint64_t{32} << octave) * ((index - 8) % 4 + 1);
}
constexpr unsigned class_of_size(std::uint64_t size) noexcept {
  if (size <= 128) return size <= 16 ? 0 : static_cast<unsigned>((size + 15) / 16 - 1);
  if (size > 16384) return size <= 20480 ? 36 : 37;
  const unsigned octave = static_cast<unsigned>(std::bit_width(size - 1)) - 8;
  return 8 + octave * 4 + static_cast<unsigned>(((size - 1) >> (octave + 5)) - 4);
}
constexpr std::uint64_t alignment_of_class(unsigned index) noexcept {
  return std::min(std::uint64_t{1} << std::countr_zero(size_of_class(index)), kLargestAlignment);
}
constexpr std::uint64_t words_of_class(unsigned index) noexcept {
  return (kChunk / size_of_class(index) + 63) / 64;
}
// Offset of the first block of a slab, behind the head of its chunk and the bitmap.
constexpr std::uint64_t data_of_class(unsigned index) noexcept {
  const std::uint64_t alignment = alignment_of_class(index);
  return (kHeadOfChunk + words_of_class(index) * 8 + alignment - 1) / alignment * alignment;
}
constexpr std::uint64_t blocks_of_class(unsigned index) noexcept {
  return (kChunk - data_of_class(index)) / size_of_class(index);
}

enum class Kind : std::uint64_t { none = 0, free = 1, slab = 2, large = 3 };

// The state of a run of chunks, in one word that includes its own position. So a damaged word is recognized, and so is
// one left by an earlier use of the chunk.
class State {
 public:
  constexpr State() noexcept = default;
  static constexpr State of(Kind kind, unsigned size_class, std::uint64_t chunks, Offset at) noexcept {
    const std::uint64_t said = static_cast<std::uint64_t>(kind) | std::uint64_t{size_class} << 4 | chunks << 12;
    return State(said | seal(said, at) << 48);
  }
  static constexpr State read(std::uint64_t word) noexcept { return State(word); }

  [[nodiscard]] constexpr std::uint64_t word() const noexcept { return word_; }
  [[nodiscard]] constexpr Kind kind() const noexcept { return static_cast<Kind>(word_ & 15); }
  [[nodiscard]] constexpr unsigned size_class() const noexcept { return static_cast<unsigned>(word_ >> 4 & 255); }
  [[nodiscard]] constexpr std::uint64_t chunks() const noexcept { return word_ >> 12 & ((std::uint64_t{1} << 36) - 1); }
  [[nodiscard]] constexpr bool is_sound(Offset at) const noexcept {
    const std::uint64_t said = word_ & ((std::uint64_t{1} << 48) - 1);
    if (word_ >> 48 != seal(said, at) || chunks() == 0) return false;
    if (kind() == Kind::slab) return size_class() < kClasses && chunks() == 1;
    return (kind() == Kind::free || kind() == Kind::large) && size_class() == 0;
  }

 private:
  constexpr explicit State(std::uint64_t word) noexcept : word_(word) {}
  static constexpr std::uint64_t seal(std::uint64_t said, Offset at) noexcept {
    std::uint64_t z = said ^ (at * 0x9E3779B97F4A7C15u) ^ kMagic;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) >> 48;
  }
  std::uint64_t word_ = 0;
};

struct ChunkHead {
  std::uint64_t state;  // the authoritative word
  std::uint64_t data;   // in a large block: where it begins in its run; written before the state
  // Derived:
  Offset next, before;  // in the list of slabs of a class with free blocks, or of free runs
  std::uint64_t used;   // in a slab: number of used blocks
  std::uint64_t hint;   // in a slab: no bitmap word before this one has a free block
  std::uint64_t reserved[2];
  [[nodiscard]] std::uint64_t* bitmap() noexcept { return reinterpret_cast<std::uint64_t*>(this + 1); }
  [[nodiscard]] const std::uint64_t* bitmap() const noexcept {
    return reinterpret_cast<const std::uint64_t*>(this + 1);
  }
};
static_assert(sizeof(ChunkHead) == kHeadOfChunk);

// The unfinished part of an operation that changes a slot of the program and a block together.
enum class Intent : std::uint64_t { none = 0, allocate = 1, deallocate = 2 };

struct Head {
  std::uint64_t magic;  // written last when a heap is created
  std::uint64_t capacity;
  Offset end;  // end of the chunks that are in use
  Offset root;
  std::uint64_t is_open;  // 1: a process has the heap open, or died with it open
  std::uint64_t intent;   // written after its slot and block
  Offset intent_slot, intent_block;
  // Derived:
  std::uint64_t live_blocks, live_bytes;
  Offset free_runs;
  Offset partial[kClasses];  // slabs with free blocks
  pthread_mutex_t lock;      // of a shared heap
};
static_assert(sizeof(Head) <= kChunk);

// A store that may be the last one that other processes see, so the compiler must not move other stores across it.
// Whatever happens to the process, its stores are in the mapping, in program order.
struct Stores {
  static void store(std::uint64_t& where, std::uint64_t value) noexcept {
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::atomic_ref(where).store(value, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
};

}  // namespace memtool::persistent
