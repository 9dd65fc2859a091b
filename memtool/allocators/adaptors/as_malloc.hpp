// Makes any heap callable like a malloc, so that it can be compared with one.
#pragma once

#include <algorithm>
#include <bit>
#include <memory>

#include "allocators/concept/adaptor.hpp"
#include "allocators/concept/touch.hpp"
#include "allocators/support/as_malloc.hpp"

namespace memtool {

// A heap of any type, in the form that allocators/support/as_malloc.hpp requires.
class ErasedHeap {
 public:
  explicit ErasedHeap(std::unique_ptr<AnyHeap> heap) noexcept : heap_(std::move(heap)) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept { return heap_->allocate(size, alignment); }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept {
    return heap_->allocate_zeroed(size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    heap_->deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    return heap_->reallocate(block, old_size, new_size, alignment);
  }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const noexcept {
    return heap_->usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const noexcept { return heap_->stats(); }
  void walk(const BlockVisitor& visit) const { heap_->walk(visit); }
  void check() const { heap_->check(); }
  void report(std::string& json) const { heap_->report(json); }

 protected:
  [[nodiscard]] AnyHeap& heap() const noexcept { return *heap_; }

 private:
  std::unique_ptr<AnyHeap> heap_;
};

// A heap that records the requested size of each block, so a bare pointer suffices to free one.
class BookedHeap : public ErasedHeap {
 public:
  static constexpr bool kKeepsAlignment = true;
  using ErasedHeap::ErasedHeap;

  void deallocate(void* block) noexcept {
    const Request request = heap().request_of(block);
    heap().deallocate(block, request.size, request.alignment);
  }
  void* reallocate(void* block, std::size_t, std::size_t new_size, std::size_t) noexcept {
    const Request request = heap().request_of(block);
    return heap().reallocate(block, request.size, new_size, request.alignment);
  }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t) const noexcept {
    return heap().usable_size(block, heap().request_of(block).size);
  }
};

// Translates calls that pass a size and an alignment at the free into the calls of a malloc.
class AsMalloc final : public AnyHeap {
 public:
  static constexpr AdaptorInfo info{
      .name = "as-malloc",
      .summary =
          "Makes any heap callable like a malloc: by an indirect call, with a bare pointer at the free, thread-safe.",
      .source = "ISO C 2018, 7.22.3",
      .cost =
          "one indirect call; a lock unless the strategy below is thread-safe; 16 bytes or the alignment for each "
          "block, if frees below need a size that no adaptor records",
      .when = "fair comparison of strategies with mallocs; --as malloc applies it to every row",
      .threads = Threads::any,
  };
  static constexpr std::uint64_t alignment_below(const Parameters&, std::uint64_t alignment) {
    return std::max<std::uint64_t>(alignment, kDefaultAlignment);
  }
  static Limits limits(const Parameters&, const Limits& below, std::uint64_t alignment) {
    return limits_of(below, std::max<std::uint64_t>(alignment, kDefaultAlignment));
  }
  // `header`: number of bytes before each block; 0 if frees need only a bare pointer.
  static Limits limits_of(const Limits& below, std::uint64_t header) {
    const std::uint64_t least =
        std::min<std::uint64_t>(kDefaultAlignment, std::bit_floor(std::max<std::uint64_t>(below.largest_size, 1)));
    if (below.largest_alignment < least)
      throw CannotStand(
          worded("as-malloc needs blocks aligned to %zu, as a malloc's are; the heap below aligns to at most "
                 "%llu",
                 kDefaultAlignment, static_cast<unsigned long long>(below.largest_alignment)));
    if (below.largest_size <= header)
      throw CannotStand(worded("as-malloc keeps %llu bytes before each block; the heap below serves up to %llu",
                               static_cast<unsigned long long>(header),
                               static_cast<unsigned long long>(below.largest_size)));
    Limits limits = below;
    limits.least_alignment = std::max<std::uint64_t>(below.least_alignment, kDefaultAlignment);
    if (limits.largest_size != kUnlimited) limits.largest_size -= header;
    return limits;
  }
  static std::unique_ptr<MallocHeap> open_bare(std::unique_ptr<AnyHeap> below, bool thread_safe) {
    if (below->knows_requests()) return std::make_unique<MallocOf<BookedHeap>>(thread_safe, std::move(below));
    return std::make_unique<MallocOf<ErasedHeap>>(thread_safe, std::move(below));
  }
  // Below an adaptor the engine cannot know whether the heap is thread-safe, so this one locks it.
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings&) {
    const bool uses_region = below->uses_region();
    return std::make_unique<AsMalloc>(open_bare(std::move(below), false), uses_region);
  }

  AsMalloc(std::unique_ptr<MallocHeap> heap, bool uses_region) noexcept
      : heap_(std::move(heap)), uses_region_(uses_region) {}

  void* allocate(std::size_t size, std::size_t alignment) override {
    return alignment <= kDefaultAlignment ? heap_->allocate(size) : heap_->allocate_aligned(alignment, size);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    if (alignment <= kDefaultAlignment) return heap_->allocate_zeroed(size);
    void* block = heap_->allocate_aligned(alignment, size);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void deallocate(void* block, std::size_t, std::size_t) override { heap_->deallocate(block); }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    if (alignment <= kDefaultAlignment || heap_->resizes_aligned())
      return heap_->reallocate(block, std::max<std::size_t>(new_size, 1));
    void* fresh = heap_->allocate_aligned(alignment, new_size);
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, std::min(old_size, new_size));
    touch_grown(touch_, fresh, old_size, new_size);
    heap_->deallocate(block);
    return fresh;
  }
  // If a malloc lacks a function, the program copies instead. The inside of realloc() is the malloc's own affair.
  void write_when_moved(Touch touch, std::size_t) override { touch_ = touch; }
  // A malloc has no scopes. Blocks that the end of a scope would free at once are freed one by one.
  bool mark() override { return false; }
  bool release() override { return false; }
  [[nodiscard]] bool scoped() const override { return false; }
  [[nodiscard]] bool uses_region() const override { return uses_region_; }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const override {
    return heap_->usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const override { return heap_->stats(); }
  void walk(const BlockVisitor& visit) const override { heap_->walk(visit); }
  void check() const override { heap_->check(); }
  void report(std::string& json) const override { heap_->report(json); }

 private:
  std::unique_ptr<MallocHeap> heap_;
  bool uses_region_;
  Touch touch_ = Touch::none;
};

}  // namespace memtool
