// Slabs: runs of pages that are aligned to their size. Each slab has a header, a bitmap of its free blocks, and blocks
// of one size class.
//
// Masking a block's address finds the header. An empty slab returns to the common pages, where any class can use it.
// Segregated pools cannot do this; its price is a bitmap operation and an access to the header. A class takes the free
// blocks of its current slab one word of the bitmap at a time, and then hands them out without another access to the
// bitmap.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <new>
#include <stdexcept>
#include <utility>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/classes/class_chunks.hpp"
#include "allocators/support/classes/class_table.hpp"
#include "allocators/support/classes/large_blocks.hpp"
#include "allocators/support/classes/page_runs.hpp"

namespace memtool {

class Slab {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "slab",
       .summary = "bytes and alignment of a slab, a power of two",
       .default_value = 64 * 1024,
       .minimum = 16 * 1024,
       .maximum = 128 * 1024},
      {.name = "keep",
       .summary = "number of empty slabs that a class keeps besides its current slab",
       .default_value = 0,
       .minimum = 0,
       .maximum = 1024,
       .unit = "count"},
  }};
  static constexpr StrategyInfo info{
      .name = "slab",
      .family = "pool",
      .summary = "Slabs of one size class with a bitmap of free blocks; empty slabs return to a common store of pages.",
      .source = "Bonwick, \"The slab allocator: an object-caching kernel memory allocator\", USENIX Summer 1994",
      .complexity = "allocate O(1), with a search of one slab's bitmap after at most 64 blocks; deallocate O(1)",
      .when = "mixed sizes whose proportions change over time",
      .parameters = kParameters,
  };

  Slab(Region& region, const Parameters& parameters)
      : runs_(region),
        classes_(kLog2Spacing, largest_class(parameters["slab"])),
        slab_bytes_(parameters["slab"]),
        keep_(parameters["keep"]) {
    if (!std::has_single_bit(slab_bytes_)) throw std::invalid_argument("slab: must be a power of two");
    for (std::size_t index = 0; index < classes_.count(); ++index) caches_[index].size = classes_.size(index);
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = index_of(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return allocate_large(size, alignment);
    Cache& cache = caches_[index];
    if (cache.free == 0 && !refill(cache, index)) [[unlikely]]
      return nullptr;
    const auto bit = static_cast<std::size_t>(std::countr_zero(cache.free));
    cache.free &= cache.free - 1;
    ++cache.current->used;
    return cache.first + bit * cache.size;
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    if (index_of(size, alignment) == ClassTable::kNone) [[unlikely]]
      return large_.deallocate(block);
    put_back(block);
  }
  // The page in which a block lies records whether it belongs to a slab.
  void deallocate(void* block) noexcept {
    if (runs_.tag(block) == PageRuns::kNoTag) [[unlikely]]
      return large_.deallocate(block);
    put_back(block);
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::uint32_t index = runs_.tag(block);
    return index == PageRuns::kNoTag ? runs_.run_bytes(block) : classes_.size(index);
  }

  HeapStats stats() const noexcept {
    HeapStats stats = class_chunks::stats_of_pages(runs_, large_, 0);
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Cache& cache = caches_[index];
      const std::size_t spare = spare_blocks(cache);
      class_chunks::add_class(stats, cache.size, cache.slabs * shape(index).blocks - spare, spare);
      stats.metadata_bytes += cache.slabs * shape(index).first;
    }
    return stats;
  }

  // The tail of a slab, too short for a whole block, is shown as metadata.
  void walk(const BlockVisitor& visit) const {
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      if (is_free || runs_.tag(address) == PageRuns::kNoTag) {
        visit(address, bytes, is_free ? BlockState::free : BlockState::used);
        return;
      }
      auto* slab = reinterpret_cast<Header*>(address);
      visit(address, slab->first, BlockState::metadata);
      std::byte* block = address + slab->first;
      for (std::uint32_t number = 0; number < slab->blocks; ++number, block += slab->size)
        visit(block, slab->size, is_free_block(slab, number) ? BlockState::free : BlockState::used);
      if (block < address + bytes)
        visit(block, static_cast<std::size_t>(address + bytes - block), BlockState::metadata);
    });
  }

  void check() const {
    runs_.check();
    std::array<std::size_t, SizeClasses::kMost> slabs{};
    std::size_t partial = 0;
    runs_.for_each([&](std::byte* address, std::size_t, bool is_free) {
      if (is_free || runs_.tag(address) == PageRuns::kNoTag) return;
      auto* slab = reinterpret_cast<Header*>(address);
      check_slab(slab);
      ++slabs[slab->index];
      partial += slab->state == State::partial;
    });
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Cache& cache = caches_[index];
      require(slabs[index] == cache.slabs, "a class does not know how many slabs it has");
      require(cache.free == 0 || cache.current != nullptr, "a class holds free blocks of no slab");
      std::size_t empty = 0;
      for (const Header* slab = cache.partial; slab != nullptr; slab = slab->next, --partial) {
        require(partial > 0 && slab->state == State::partial && slab->index == index,
                "a list of partial slabs holds one that is not");
        empty += slab->used == 0;
      }
      require(empty == cache.empty && empty <= keep_, "a class does not know how many of its slabs are empty");
    }
    require(partial == 0, "a partial slab is not listed");
  }

 private:
  static constexpr unsigned kLog2Spacing = 2;
  // A slab could hold only a handful of larger blocks, so page runs serve those.
  static constexpr std::size_t kFewestBlocks = 7;
  // A block is aligned to the largest power of two that divides its size, up to this limit. Page runs serve requests
  // for larger alignments.
  static constexpr std::size_t kLargestAlignment = 512;

  // current: the class allocates from it. partial: it has free blocks and is listed. full: it is not listed.
  enum class State : std::uint32_t { current, partial, full };

  // The bitmap follows the header. The bit of a block is set if the block is free and the class has not taken it to
  // hand it out.
  struct Header {
    Header* next;
    Header* previous;
    std::uint32_t index;
    std::uint32_t size;        // of a block, in bytes
    std::uint32_t reciprocal;  // offset * reciprocal >> 32 divides by size: offsets are multiples of it below 2^17
    std::uint32_t first;       // offset of the first block
    std::uint32_t blocks;
    std::uint32_t used;
    std::uint32_t first_word;  // index of the first bitmap word that may have a bit set
    State state;

    [[nodiscard]] std::uint64_t* bitmap() noexcept { return reinterpret_cast<std::uint64_t*>(this + 1); }
    [[nodiscard]] std::uint32_t words() const noexcept { return (blocks + 63) / 64; }
    [[nodiscard]] std::byte* block(std::size_t number) noexcept {
      return reinterpret_cast<std::byte*>(this) + first + number * size;
    }
    [[nodiscard]] std::uint32_t number_of(const void* address) noexcept {
      const auto offset = static_cast<const std::byte*>(address) - block(0);
      return static_cast<std::uint32_t>(static_cast<std::uint64_t>(offset) * reciprocal >> 32);
    }
  };

  // Each cache has its own cache line, because an operation touches one class.
  struct alignas(64) Cache {
    std::uint64_t free = 0;      // free blocks of the current slab, already taken from its bitmap
    std::byte* first = nullptr;  // the block of bit 0
    std::size_t size = 0;
    Header* current = nullptr;
    Header* partial = nullptr;  // the slab with the most recent free comes first
    std::size_t slabs = 0;
    std::size_t empty = 0;  // number of partial slabs that are empty
  };

  struct Shape {
    std::uint32_t first;   // offset of the first block
    std::uint32_t blocks;  // in a slab
  };
  [[nodiscard]] Shape shape(std::size_t index) const noexcept {
    const std::size_t size = classes_.size(index);
    const std::size_t words = (slab_bytes_ / size + 63) / 64;
    const std::size_t alignment = std::min(size & -size, kLargestAlignment);
    const std::size_t first =
        bits::round_up(sizeof(Header) + words * sizeof(std::uint64_t), std::max(alignment, kDefaultAlignment));
    return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>((slab_bytes_ - first) / size)};
  }

  // The largest class of which a slab holds kFewestBlocks behind its header.
  [[nodiscard]] static std::size_t largest_class(std::size_t slab_bytes) noexcept {
    const SizeClasses classes(kLog2Spacing, slab_bytes);
    const std::size_t room = (slab_bytes - kLargestAlignment) / kFewestBlocks;
    std::size_t index = classes.index(room);
    while (classes.size(index) > room) --index;
    return classes.size(index);
  }

  [[gnu::always_inline]] void put_back(void* block) noexcept {
    Header* slab = header_of(block);
    const std::uint32_t number = slab->number_of(block);
    const std::uint32_t word = number / 64;
    slab->bitmap()[word] |= std::uint64_t{1} << number % 64;
    if (word < slab->first_word) slab->first_word = word;
    --slab->used;
    if (slab->state != State::current && (slab->used == 0 || slab->state == State::full)) [[unlikely]]
      settle(slab);
  }

  [[nodiscard]] std::size_t index_of(std::size_t size, std::size_t alignment) const noexcept {
    if (alignment > kLargestAlignment) [[unlikely]]
      return ClassTable::kNone;
    return classes_.index(size, alignment);
  }

  [[nodiscard]] Header* header_of(void* block) const noexcept {
    return reinterpret_cast<Header*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_bytes_ - 1));
  }

  // Whether a block is free: in the bitmap of its slab, or taken by its class.
  [[nodiscard]] bool is_free_block(Header* slab, std::uint32_t number) const noexcept {
    if ((slab->bitmap()[number / 64] >> number % 64 & 1) != 0) return true;
    const Cache& cache = caches_[slab->index];
    if (slab != cache.current || cache.free == 0) return false;
    const std::uint32_t base = slab->number_of(cache.first);
    return number >= base && number < base + 64 && (cache.free >> (number - base) & 1) != 0;
  }

  [[nodiscard]] static std::size_t spare_blocks(const Cache& cache) noexcept {
    std::size_t spare = cache.current == nullptr ? 0 : cache.current->blocks - cache.current->used;
    for (const Header* slab = cache.partial; slab != nullptr; slab = slab->next) spare += slab->blocks - slab->used;
    return spare;
  }

  static void link(Cache& cache, Header* slab) noexcept {
    slab->state = State::partial;
    slab->previous = nullptr;
    slab->next = cache.partial;
    if (cache.partial != nullptr) cache.partial->previous = slab;
    cache.partial = slab;
  }
  static void unlink(Cache& cache, Header* slab) noexcept {
    if (slab->next != nullptr) slab->next->previous = slab->previous;
    (slab->previous != nullptr ? slab->previous->next : cache.partial) = slab->next;
  }

  // Takes the next word of free blocks from the current slab, a partial slab or a new one.
  [[gnu::noinline]] bool refill(Cache& cache, std::size_t index) noexcept {
    if (cache.current == nullptr || !take_word(cache)) {
      if (cache.current != nullptr) std::exchange(cache.current, nullptr)->state = State::full;
      Header* slab = cache.partial;
      if (slab != nullptr) {
        unlink(cache, slab);
        cache.empty -= slab->used == 0;
      } else {
        slab = add_slab(index);
        if (slab == nullptr) return false;
      }
      slab->state = State::current;
      cache.current = slab;
      take_word(cache);
    }
    return true;
  }

  static bool take_word(Cache& cache) noexcept {
    Header* slab = cache.current;
    std::uint64_t* bitmap = slab->bitmap();
    const std::uint32_t words = slab->words();
    std::uint32_t word = slab->first_word;
    while (word < words && bitmap[word] == 0) ++word;
    slab->first_word = word;
    if (word == words) return false;
    cache.free = std::exchange(bitmap[word], 0);
    cache.first = slab->block(std::size_t{word} * 64);
    return true;
  }

  // Called when a slab that is not current gets its first free block, or when its last used block is freed.
  [[gnu::noinline]] void settle(Header* slab) noexcept {
    Cache& cache = caches_[slab->index];
    if (slab->state == State::full) link(cache, slab);
    if (slab->used > 0) return;
    if (cache.empty < keep_) {
      ++cache.empty;
      return;
    }
    unlink(cache, slab);
    release(cache, slab);
  }

  void release(Cache& cache, Header* slab) noexcept {
    --cache.slabs;
    runs_.deallocate(slab);
  }

  // Returns every empty slab to the pages. False: there was none.
  bool reclaim() noexcept {
    bool reclaimed = false;
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      Cache& cache = caches_[index];
      if (cache.current != nullptr && cache.current->used == 0) {
        cache.free = 0;
        release(cache, std::exchange(cache.current, nullptr));
        reclaimed = true;
      }
      for (Header* slab = cache.partial; slab != nullptr && cache.empty > 0;) {
        Header* next = slab->next;
        if (slab->used == 0) {
          unlink(cache, slab);
          release(cache, slab);
          --cache.empty;
          reclaimed = true;
        }
        slab = next;
      }
    }
    return reclaimed;
  }

  Header* add_slab(std::size_t index) noexcept {
    const std::size_t pages = slab_bytes_ / PageRuns::kPage;
    void* run = runs_.allocate(pages, slab_bytes_);
    if (run == nullptr && reclaim()) run = runs_.allocate(pages, slab_bytes_);
    if (run == nullptr) return nullptr;
    runs_.set_tag(run, static_cast<std::uint32_t>(index));
    const auto [first, blocks] = shape(index);
    const auto size = static_cast<std::uint32_t>(classes_.size(index));
    auto* slab = new (run) Header{.next = nullptr,
                                  .previous = nullptr,
                                  .index = static_cast<std::uint32_t>(index),
                                  .size = size,
                                  .reciprocal = static_cast<std::uint32_t>((std::uint64_t{1} << 32) / size + 1),
                                  .first = first,
                                  .blocks = blocks,
                                  .used = 0,
                                  .first_word = 0,
                                  .state = State::full};
    for (std::uint32_t word = 0; word < slab->words(); ++word) {
      const std::uint32_t left = blocks - word * 64;
      new (slab->bitmap() + word) std::uint64_t(left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1);
    }
    ++caches_[index].slabs;
    return slab;
  }

  [[gnu::noinline]] void* allocate_large(std::size_t size, std::size_t alignment) noexcept {
    void* block = large_.allocate(size, alignment);
    if (block == nullptr && reclaim()) block = large_.allocate(size, alignment);
    return block;
  }

  void check_slab(Header* slab) const {
    const Cache& cache = caches_[slab->index];
    std::size_t free = slab == cache.current ? static_cast<std::size_t>(std::popcount(cache.free)) : 0;
    for (std::uint32_t word = 0; word < slab->words(); ++word) {
      const auto count = static_cast<std::size_t>(std::popcount(slab->bitmap()[word]));
      require(count == 0 || word >= slab->first_word, "a slab has free blocks before its first free word");
      free += count;
    }
    require(free + slab->used == slab->blocks, "a slab's bitmap does not agree with its count of used blocks");
    require((slab == cache.current) == (slab->state == State::current),
            "a slab is current to itself or its class alone");
    require(slab->state != State::partial || free > 0, "a full slab is listed as partial");
    require(slab->state != State::full || free == 0, "a slab with free blocks is not listed");
  }

  std::array<Cache, SizeClasses::kMost> caches_{};
  PageRuns runs_;
  LargeBlocks large_{runs_};
  ClassTable classes_;
  std::size_t slab_bytes_;
  std::size_t keep_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Slab);
