// Spans: runs of pages that are cut into blocks of one size class. Each span counts its blocks that are in use.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>

#include "allocators/concept/region.hpp"
#include "allocators/support/classes/page_runs.hpp"
#include "allocators/support/free_list.hpp"

namespace memtool {

struct alignas(64) Span {
  FreeList::Link* free = nullptr;
  std::byte* run = nullptr;
  std::byte* fresh = nullptr;  // start of the blocks that were never allocated, up to `end`
  std::byte* end = nullptr;
  Span* next = nullptr;  // in the list of spans with free blocks
  Span* previous = nullptr;
  std::uint32_t out = 0;
  std::uint32_t index = 0;  // index of its size class

  [[nodiscard]] bool has_room() const noexcept { return free != nullptr || fresh != end; }
  [[nodiscard]] std::size_t count(std::size_t size) const noexcept {
    auto blocks = static_cast<std::size_t>(end - fresh) / size;
    for (const FreeList::Link* link = free; link != nullptr; link = link->next) ++blocks;
    return blocks;
  }

  // Fills `slots` from the end with up to that many blocks of `size` bytes, and returns their number.
  std::size_t take(std::span<void*> slots, std::size_t size) noexcept {
    void** const last = slots.data() + slots.size();
    void** slot = last;
    for (; slot != slots.data() && free != nullptr; free = free->next) *--slot = free;
    for (; slot != slots.data() && fresh != end; fresh += size) *--slot = fresh;
    out += static_cast<std::uint32_t>(last - slot);
    return static_cast<std::size_t>(last - slot);
  }
  void give_back(void* block) noexcept {
    free = new (block) FreeList::Link{free};
    --out;
  }

  static void link(Span*& list, Span& span) noexcept {
    span.previous = nullptr;
    span.next = list;
    if (list != nullptr) list->previous = &span;
    list = &span;
  }
  static void unlink(Span*& list, Span& span) noexcept {
    (span.previous == nullptr ? list : span.previous->next) = span.next;
    if (span.next != nullptr) span.next->previous = span.previous;
    span.next = span.previous = nullptr;
  }
};
static_assert(sizeof(Span) == 64);

// The records of spans. They lie in pages of the region, and their numbers are small enough to be tags of page runs.
class SpanRecords {
 public:
  static constexpr std::uint32_t kTag = PageRuns::kNoTag - 1;  // tag of the pages that hold the records

  SpanRecords(const Region& region, PageRuns& runs) noexcept : base_(region.base()), runs_(runs) {}

  // Returns nullptr if memory is exhausted.
  Span* make() noexcept {
    if (dropped_ != nullptr) {
      Span* span = dropped_;
      dropped_ = span->next;
      return new (span) Span;
    }
    if (fresh_ == end_) {
      void* page = runs_.allocate(1, PageRuns::kPage);
      if (page == nullptr || static_cast<std::size_t>(static_cast<std::byte*>(page) - base_) >= kMostBytes)
        return nullptr;
      runs_.set_tag(page, kTag);
      ++pages_;
      fresh_ = static_cast<std::byte*>(page);
      end_ = fresh_ + PageRuns::kPage;
    }
    void* place = fresh_;
    fresh_ += sizeof(Span);
    return new (place) Span;
  }
  void drop(Span& span) noexcept {
    span.next = dropped_;
    dropped_ = &span;
  }
  [[nodiscard]] std::uint32_t tag(const Span& span) const noexcept {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&span) - base_) /
                                      sizeof(Span));
  }
  [[nodiscard]] Span& at(std::uint32_t tag) const noexcept {
    return *std::launder(reinterpret_cast<Span*>(base_ + std::size_t{tag} * sizeof(Span)));
  }
  // Finds the spans of several blocks. It reads no member that a write to a block could change, so the compiler can
  // keep them in registers.
  class Finder {
   public:
    explicit Finder(const SpanRecords& records) noexcept : base_(records.base_), tags_(records.runs_) {}
    [[nodiscard, gnu::always_inline]] Span& of(const void* block) const noexcept {
      return *std::launder(reinterpret_cast<Span*>(base_ + std::size_t{tags_.of(block)} * sizeof(Span)));
    }

   private:
    std::byte* const base_;
    const PageRuns::Tags tags_;
  };
  [[nodiscard]] std::size_t pages() const noexcept { return pages_; }

 private:
  static constexpr std::size_t kMostBytes =
      std::size_t{kTag} * sizeof(Span);  // of a region; no tag reaches a record behind them

  std::byte* base_;
  PageRuns& runs_;
  Span* dropped_ = nullptr;
  std::byte* fresh_ = nullptr;
  std::byte* end_ = nullptr;
  std::size_t pages_ = 0;
};

}  // namespace memtool
