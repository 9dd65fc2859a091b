// Slabs: runs of pages aligned to their size, each with a header, a bitmap of its free blocks, and blocks of one size
// class.
//
// The header is found by masking a block's address. A slab that empties goes back to the pages, for any class to use:
// what segregated pools cannot do, paid for with a bitmap operation and a look at the header.
#pragma once

#include <algorithm>
#include <array>
#include <bit>

#include "allocators/support/class_table.hpp"
#include "allocators/support/page_runs.hpp"
#include "engine/registry.hpp"

namespace memtool {

class Slab {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "slab",
       .summary = "log2 of the bytes of a slab, and of its alignment",
       .default_value = 16,
       .minimum = 14,
       .maximum = 17,
       .unit = "count"},
      {.name = "keep",
       .summary = "empty slabs kept by a class",
       .default_value = 1,
       .minimum = 0,
       .maximum = 1024,
       .unit = "count"},
  }};
  static constexpr StrategyInfo info{
      .name = "slab",
      .family = "pool",
      .summary = "Slabs of one size class with a bitmap; empty slabs return to a common store of pages.",
      .source = "Bonwick, \"The slab allocator: an object-caching kernel memory allocator\", USENIX Summer 1994",
      .complexity = "allocate O(1) amortised: the first word with a free bit; deallocate O(1)",
      .when = "mixed sizes whose mix changes over time",
      .parameters = kParameters,
  };

  Slab(Region& region, const Parameters& parameters) noexcept
      : runs_(region), classes_(2), slab_bytes_(std::size_t{1} << parameters["slab"]), keep_(parameters["keep"]) {}

  static Limits limits(const Parameters&) { return {}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const std::size_t index = index_of(size, alignment);
    if (index == ClassTable::kNone) [[unlikely]]
      return allocate_large(size, alignment);
    Cache& cache = caches_[index];
    Header* slab = cache.partial;
    if (slab == nullptr) [[unlikely]] {
      slab = add_slab(index);
      if (slab == nullptr) return nullptr;
    }
    std::size_t word = slab->first_word;
    while (slab->free[word] == 0) ++word;
    slab->first_word = static_cast<std::uint32_t>(word);
    const auto bit = static_cast<std::size_t>(std::countr_zero(slab->free[word]));
    slab->free[word] &= slab->free[word] - 1;
    if (slab->used++ == 0) --cache.empty;
    if (slab->used == slab->blocks) unlink(cache, slab);
    ++cache.used;
    return slab->first_block() + (word * 64 + bit) * slab->block;
  }

  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    if (index_of(size, alignment) == ClassTable::kNone) [[unlikely]]
      return deallocate_large(block);
    Header* slab = header_of(block);
    Cache& cache = caches_[slab->index];
    const std::size_t number = slab->number_of(block);
    slab->free[number / 64] |= std::uint64_t{1} << number % 64;
    slab->first_word = std::min(slab->first_word, static_cast<std::uint32_t>(number / 64));
    if (slab->used == slab->blocks) link(cache, slab);
    --cache.used;
    if (--slab->used == 0) retire(cache, slab);
  }

  std::size_t usable_size(const void* block, std::size_t) const noexcept {
    const std::uint32_t index = runs_.tag(block);
    return index == PageRuns::kNoTag ? runs_.run_bytes(block) : classes_.size(index);
  }

  HeapStats stats() const noexcept {
    std::size_t granted = large_bytes_;
    std::size_t used = large_blocks_;
    std::size_t free_bytes = runs_.free_bytes();
    std::size_t free_blocks = runs_.free_runs();
    std::size_t largest_free = runs_.largest_free();
    std::size_t metadata = runs_.table_bytes();
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      const Cache& cache = caches_[index];
      granted += cache.used * classes_.size(index);
      used += cache.used;
      const std::size_t spare = cache.slabs * blocks_in(index) - cache.used;
      free_bytes += spare * classes_.size(index);
      free_blocks += spare;
      if (spare > 0) largest_free = std::max(largest_free, classes_.size(index));
      metadata += cache.slabs * kHeaderBytes;
    }
    return {.granted = granted,
            .free_bytes = free_bytes,
            .largest_free = largest_free,
            .free_blocks = free_blocks,
            .used_blocks = used,
            .metadata_bytes = metadata,
            .metadata_apart_bytes = runs_.table_bytes()};
  }

  void walk(const BlockVisitor& visit) const {
    runs_.for_each([&](std::byte* address, std::size_t bytes, bool is_free) {
      if (is_free || runs_.tag(address) == PageRuns::kNoTag) {
        visit(address, bytes, is_free ? BlockState::free : BlockState::used);
        return;
      }
      auto* slab = reinterpret_cast<Header*>(address);
      visit(address, kHeaderBytes, BlockState::metadata);
      for (std::size_t number = 0; number < slab->blocks; ++number) {
        const bool free = (slab->free[number / 64] >> number % 64 & 1) != 0;
        visit(slab->first_block() + number * slab->block, slab->block, free ? BlockState::free : BlockState::used);
      }
      const std::size_t covered = kHeaderBytes + std::size_t{slab->blocks} * slab->block;
      if (covered < bytes) visit(address + covered, bytes - covered, BlockState::metadata);
    });
  }

  void check() const {
    runs_.check();
    std::array<std::size_t, SizeClasses::kMost> used{};
    std::array<std::size_t, SizeClasses::kMost> slabs{};
    runs_.for_each([&](std::byte* address, std::size_t, bool is_free) {
      if (is_free || runs_.tag(address) == PageRuns::kNoTag) return;
      const auto* slab = reinterpret_cast<const Header*>(address);
      std::size_t free = 0;
      for (const std::uint64_t word : slab->free) free += static_cast<std::size_t>(std::popcount(word));
      require(free + slab->used == slab->blocks, "a slab's bitmap does not agree with its count of used blocks");
      used[slab->index] += slab->used;
      ++slabs[slab->index];
    });
    for (std::size_t index = 0; index < classes_.count(); ++index) {
      require(used[index] == caches_[index].used, "a class does not know how many of its blocks are used");
      require(slabs[index] == caches_[index].slabs, "a class does not know how many slabs it has");
      for (const Header* slab = caches_[index].partial; slab != nullptr; slab = slab->next)
        require(slab->used < slab->blocks && slab->index == index,
                "a full slab, or one of another class, is listed as partial");
    }
  }

 private:
  // 2^17 bytes in blocks of 16 are 8192 bits.
  static constexpr std::size_t kWords = 128;
  struct Header {
    Header* next;
    Header* previous;
    std::uint32_t index;
    std::uint32_t block;
    std::uint32_t blocks;
    std::uint32_t used;
    std::uint32_t first_word;  // none before it has a free bit
    std::uint32_t reciprocal;  // offset * reciprocal >> 32 divides by block: offsets are below 2^17, multiples of block
    std::array<std::uint64_t, kWords> free;

    [[nodiscard]] std::byte* first_block() noexcept { return reinterpret_cast<std::byte*>(this) + kHeaderBytes; }
    [[nodiscard]] std::size_t number_of(const void* address) noexcept {
      const auto offset = static_cast<std::uint64_t>(static_cast<const std::byte*>(address) - first_block());
      return offset * reciprocal >> 32;
    }
  };
  static constexpr std::size_t kHeaderBytes = 1088;
  static_assert(sizeof(Header) <= kHeaderBytes && kHeaderBytes % 64 == 0);
  // Larger blocks would leave a slab with a handful of them: page runs serve those.
  static constexpr std::size_t kFewestBlocks = 7;

  struct Cache {
    Header* partial = nullptr;  // slabs with free blocks, the most recently freed into first
    std::size_t used = 0;
    std::size_t slabs = 0;
    std::size_t empty = 0;
  };

  [[nodiscard]] std::size_t blocks_in(std::size_t index) const noexcept {
    return (slab_bytes_ - kHeaderBytes) / classes_.size(index);
  }

  // Blocks begin 64-aligned behind the header: no class promises more than that. What is asked for beyond goes to the
  // page runs.
  [[nodiscard]] std::size_t index_of(std::size_t size, std::size_t alignment) const noexcept {
    if (alignment > 64) return ClassTable::kNone;
    const std::size_t index = classes_.index(size, alignment);
    return index != ClassTable::kNone && blocks_in(index) >= kFewestBlocks ? index : ClassTable::kNone;
  }

  [[nodiscard]] Header* header_of(void* block) const noexcept {
    return reinterpret_cast<Header*>(reinterpret_cast<std::uintptr_t>(block) & ~(slab_bytes_ - 1));
  }

  static void link(Cache& cache, Header* slab) noexcept {
    slab->previous = nullptr;
    slab->next = cache.partial;
    if (cache.partial != nullptr) cache.partial->previous = slab;
    cache.partial = slab;
  }
  static void unlink(Cache& cache, Header* slab) noexcept {
    if (slab->next != nullptr) slab->next->previous = slab->previous;
    (slab->previous != nullptr ? slab->previous->next : cache.partial) = slab->next;
  }

  [[gnu::noinline]] Header* add_slab(std::size_t index) noexcept {
    void* run = runs_.allocate(slab_bytes_ / PageRuns::kPage, slab_bytes_);
    if (run == nullptr) return nullptr;
    runs_.set_tag(run, static_cast<std::uint32_t>(index));
    auto* slab = static_cast<Header*>(run);
    slab->index = static_cast<std::uint32_t>(index);
    slab->block = static_cast<std::uint32_t>(classes_.size(index));
    slab->blocks = static_cast<std::uint32_t>(blocks_in(index));
    slab->used = 0;
    slab->first_word = 0;
    slab->reciprocal = static_cast<std::uint32_t>((std::uint64_t{1} << 32) / slab->block + 1);
    for (std::size_t word = 0; word < kWords; ++word) {
      const std::size_t left = slab->blocks > word * 64 ? slab->blocks - word * 64 : 0;
      slab->free[word] = left >= 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << left) - 1;
    }
    Cache& cache = caches_[index];
    ++cache.slabs;
    ++cache.empty;
    link(cache, slab);
    return slab;
  }

  void retire(Cache& cache, Header* slab) noexcept {
    if (cache.empty < keep_) {
      ++cache.empty;
      return;
    }
    unlink(cache, slab);
    --cache.slabs;
    runs_.deallocate(slab);
  }

  [[gnu::noinline]] void* allocate_large(std::size_t size, std::size_t alignment) noexcept {
    void* run = runs_.allocate(PageRuns::pages_for(size), std::max(alignment, PageRuns::kPage));
    if (run != nullptr) {
      large_bytes_ += runs_.run_bytes(run);
      ++large_blocks_;
    }
    return run;
  }
  [[gnu::noinline]] void deallocate_large(void* block) noexcept {
    large_bytes_ -= runs_.run_bytes(block);
    --large_blocks_;
    runs_.deallocate(block);
  }

  std::array<Cache, SizeClasses::kMost> caches_{};
  PageRuns runs_;
  ClassTable classes_;
  std::size_t slab_bytes_;
  std::size_t keep_;
  std::size_t large_bytes_ = 0;
  std::size_t large_blocks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Slab);
