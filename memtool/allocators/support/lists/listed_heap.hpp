// The textbook's allocator: blocks side by side in one growing heap, a list of the free ones, and every design decision
// a parameter. It is not meant to be fast: a search, and keeping the list in order, look at one block after another.
//
// `Blocks` decides where headers, footers and links are kept (inline_blocks.hpp, apart_blocks.hpp).
#pragma once

#include <algorithm>
#include <cstddef>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/lists/list_layout.hpp"
#include "allocators/support/lists/list_policy.hpp"
#include "allocators/support/lists/listed_heap_check.hpp"

namespace memtool {

template <class Blocks>
class ListedHeap {
 public:
  ListedHeap(Region& region, const ListLayout& layout, const ListPolicy& policy)
      : region_(region), layout_(layout), policy_(policy), blocks_(region.base(), layout) {
    // Separate metadata does not count against the capacity, because the theory that it models budgets the payload
    // alone.
    const auto own = [](const void* at, std::size_t) noexcept { return static_cast<const Blocks*>(at)->apart_bytes(); };
    region.count_apart(&blocks_, own, false);
    if (region.grow(layout.lead()) == nullptr) return;
    limit_ = region.capacity();
    // If the region is no larger than `initial`, the unused bytes in front of the first block are taken from it.
    const std::size_t left = bits::round_down(region.capacity() - region.used(), layout.alignment);
    const std::size_t initial = std::min(bits::round_up(policy.initial, layout.alignment), left);
    if (initial >= layout.minimum && region.grow(initial) != nullptr) insert(blocks_.append(initial));
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    if (size >= limit_ || alignment >= limit_) return nullptr;
    const std::size_t need = layout_.bytes_for(size);
    Ref free_block = search(need, alignment);
    if (free_block == kNone && unmerged_) {
      merge_all();
      free_block = search(need, alignment);
    }
    const bool searched = free_block != kNone;
    if (!searched) free_block = grow(need, alignment);
    return free_block == kNone ? nullptr : payload(take(free_block, need, alignment, searched));
  }

  void deallocate(void* payload, std::size_t, std::size_t) noexcept {
    const Ref block = blocks_.of_payload(offset_of(payload));
    if (block == kNone) return;
    --used_blocks_;
    used_bytes_ -= blocks_.bytes(block);
    blocks_.set_free(block, true);
    release(block);
  }

  [[nodiscard]] std::size_t usable_size(const void* payload, std::size_t) const noexcept {
    const Ref block = blocks_.of_payload(offset_of(payload));
    return block == kNone ? 0 : blocks_.bytes(block) - layout_.overhead();
  }

  [[nodiscard]] HeapStats stats() const noexcept {
    if (limit_ == 0) return {0, 0, 0, 0, 0, 0};
    const std::size_t all = region_.used() - layout_.lead();
    const std::size_t free_tags = free_blocks_ * free_overhead();
    const std::size_t tags = used_blocks_ * layout_.overhead() + free_tags, free = all - used_bytes_ - free_tags;
    return {.granted = used_bytes_ - used_blocks_ * layout_.overhead(),
            .free_bytes = free,
            .largest_free =
                std::min(largest_free(), free),  // tags between neighbours are metadata until the blocks coalesce
            .free_blocks = free_blocks_,
            .used_blocks = used_blocks_,
            .metadata_bytes = layout_.lead() + tags + blocks_.apart_bytes(),
            .metadata_apart_bytes = blocks_.apart_bytes()};
  }

  void walk(const BlockVisitor& visit) const {
    const auto part = [&](std::size_t offset, std::size_t bytes, BlockState state) {
      if (bytes != 0) visit(region_.base() + offset, bytes, state);
    };
    if (limit_ == 0) return;
    part(0, layout_.lead(), BlockState::metadata);
    for (Ref at = blocks_.first(); at != kNone; at = blocks_.next_physical(at)) {
      const std::size_t begin = blocks_.offset(at);
      const std::size_t end = begin + blocks_.bytes(at);
      const bool is_free = blocks_.is_free(at);
      const bool bare = is_free && free_overhead() == 0;
      const std::size_t header = bare ? 0 : layout_.header;
      const std::size_t footer = bare ? 0 : layout_.footer;
      part(begin, header, BlockState::metadata);
      part(begin + header, end - begin - header - footer, is_free ? BlockState::free : BlockState::used);
      part(end - footer, footer, BlockState::metadata);
    }
  }

  void check() const {
    if (limit_ != 0) ListedHeapCheck<ListedHeap>{*this}.check();
  }

 private:
  friend struct ListedHeapCheck<ListedHeap>;
  using Ref = typename Blocks::Ref;
  static constexpr Ref kNone = Blocks::kNone;
  // The alignment of a block whose request names none. The strategy's limits() describe smaller alignments.
  [[nodiscard]] std::size_t natural() const noexcept { return std::max(layout_.alignment, kDefaultAlignment); }
  [[nodiscard]] std::size_t free_overhead() const noexcept { return Blocks::kInHeap ? layout_.overhead() : 0; }

  [[nodiscard]] std::size_t offset_of(const void* payload) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(payload) - region_.base());
  }
  [[nodiscard]] void* payload(Ref at) const noexcept { return region_.base() + blocks_.offset(at) + layout_.header; }
  [[nodiscard]] std::size_t end_of(Ref at) const noexcept { return blocks_.offset(at) + blocks_.bytes(at); }

  // ---- searching

  // The free blocks in the order of the search.
  [[nodiscard]] Ref first_free() const noexcept { return policy_.linked ? head_ : free_from(blocks_.first()); }
  [[nodiscard]] Ref next_free(Ref at) const noexcept {
    return policy_.linked ? blocks_.next(at) : free_from(blocks_.next_physical(at));
  }
  [[nodiscard]] Ref free_from(Ref at) const noexcept {
    while (at != kNone && !blocks_.is_free(at)) at = blocks_.next_physical(at);
    return at;
  }

  // Bytes to leave free in front of a block at `offset`, so that its payload is aligned: none, or enough for a block.
  [[nodiscard]] std::size_t lead_of(std::size_t offset, std::size_t alignment) const noexcept {
    std::byte* first = region_.base() + offset + layout_.header;
    if (alignment <= natural() || bits::is_aligned(first, alignment)) return 0;
    return static_cast<std::size_t>(bits::align_up(first + layout_.minimum, alignment) - first);
  }
  [[nodiscard]] bool serves(Ref at, std::size_t need, std::size_t alignment) const noexcept {
    return blocks_.bytes(at) >= need + lead_of(blocks_.offset(at), alignment);
  }

  [[nodiscard]] Ref search(std::size_t need, std::size_t alignment) const noexcept {
    switch (policy_.fit) {
      case ListFit::first:
        return first_that_serves(first_free(), kNone, need, alignment);
      case ListFit::next: {
        const Ref from = policy_.linked ? rover_ : free_from(rover_);
        const Ref block = first_that_serves(from, kNone, need, alignment);
        return block != kNone ? block : first_that_serves(first_free(), from, need, alignment);
      }
      default:
        return extreme_that_serves(need, alignment);
    }
  }
  [[nodiscard]] Ref first_that_serves(Ref at, Ref end, std::size_t need, std::size_t alignment) const noexcept {
    while (at != end && !serves(at, need, alignment)) at = next_free(at);
    return at == end ? kNone : at;
  }
  // Returns the smallest or the largest block that fits, and among equals the first in the list.
  [[nodiscard]] Ref extreme_that_serves(std::size_t need, std::size_t alignment) const noexcept {
    const bool smallest = policy_.fit == ListFit::best;
    Ref extreme = kNone;
    for (Ref at = first_free(); at != kNone; at = next_free(at)) {
      if (!serves(at, need, alignment)) continue;
      const bool better = extreme == kNone || (smallest ? blocks_.bytes(at) < blocks_.bytes(extreme)
                                                        : blocks_.bytes(at) > blocks_.bytes(extreme));
      if (better) extreme = at;
      if (smallest && blocks_.bytes(extreme) == need) break;
    }
    return extreme;
  }

  // ---- the list

  void link(Ref previous, Ref at, Ref next) noexcept {
    blocks_.set_previous(at, previous);
    blocks_.set_next(at, next);
    if (previous == kNone) {
      head_ = at;
    } else {
      blocks_.set_next(previous, at);
    }
    if (next == kNone) {
      tail_ = at;
    } else {
      blocks_.set_previous(next, at);
    }
  }
  void unlink(Ref at) noexcept {
    --free_blocks_;
    if (!policy_.linked) return;
    const Ref previous = blocks_.previous(at);
    const Ref next = blocks_.next(at);
    if (previous == kNone) {
      head_ = next;
    } else {
      blocks_.set_next(previous, next);
    }
    if (next == kNone) {
      tail_ = previous;
    } else {
      blocks_.set_previous(next, previous);
    }
    if (rover_ == at) rover_ = next;
  }
  // Puts `fresh` in the list in the place of `at`. The blocks may overlap.
  void replace(Ref at, Ref fresh) noexcept {
    if (!policy_.linked) return;
    const Ref previous = blocks_.previous(at);
    const Ref next = blocks_.next(at);
    link(previous, fresh, next);
    if (rover_ == at) rover_ = fresh;
  }

  // Puts a free block in the list, in its order.
  void insert(Ref at) noexcept {
    ++free_blocks_;
    if (!policy_.linked) return;
    switch (policy_.order) {
      case ListOrder::lifo:
        return link(kNone, at, head_);
      case ListOrder::fifo:
        return link(tail_, at, kNone);
      default:
        return insert_sorted(at);
    }
  }
  void insert_sorted(Ref at) noexcept {
    if (disordered_) sort();
    Ref previous = kNone;
    Ref next = head_;
    while (next != kNone && !before(at, next)) {
      previous = next;
      next = blocks_.next(next);
    }
    link(previous, at, next);
    attract_rover(at);
  }
  // Whether `at` comes before `other` in the list. Among blocks of one size, the one that was listed first comes first.
  [[nodiscard]] bool before(Ref at, Ref other) const noexcept {
    switch (policy_.order) {
      case ListOrder::address:
        return blocks_.offset(at) < blocks_.offset(other);
      case ListOrder::size_ascending:
        return blocks_.bytes(at) < blocks_.bytes(other);
      default:
        return blocks_.bytes(at) > blocks_.bytes(other);
    }
  }
  // Insertion sort, because few blocks are out of place. Blocks of one size keep their order.
  void sort() noexcept {
    disordered_ = false;
    Ref at = head_;
    while (at != kNone) {
      const Ref following = blocks_.next(at);
      Ref previous = blocks_.previous(at);
      if (previous != kNone && before(at, previous)) {
        const Ref rover = rover_;
        unlink(at);
        ++free_blocks_;
        while (previous != kNone && before(at, previous)) previous = blocks_.previous(previous);
        link(previous, at, previous == kNone ? head_ : blocks_.next(previous));
        rover_ = rover;
      }
      at = following;
    }
  }

  // In address order the rover is an offset: where the last search found its block, or the start of its merged block.
  void attract_rover(Ref at) noexcept {
    const bool behind = policy_.by_address() && blocks_.offset(at) >= rover_offset_;
    if (behind && (rover_ == kNone || blocks_.offset(at) < blocks_.offset(rover_))) rover_ = at;
  }

  // ---- taking

  // Makes `need` bytes of a free block used, and returns the used block.
  Ref take(Ref free_block, std::size_t need, std::size_t alignment, bool searched) noexcept {
    const std::size_t lead = lead_of(blocks_.offset(free_block), alignment);
    const Ref used = lead == 0 ? free_block : blocks_.cut(free_block, lead);
    if (searched) {
      rover_offset_ = blocks_.offset(used);
      rover_ = lead == 0 || !policy_.linked ? used : blocks_.next(free_block);
    }
    const bool cut = blocks_.bytes(used) >= need + layout_.split;
    const Ref rest = cut ? blocks_.cut(used, need) : kNone;
    if (lead != 0) {
      relist(free_block);
      if (cut) insert(rest);
    } else if (cut && (policy_.by_address() || policy_.remainder == Remainder::place)) {
      replace(used, rest);
      disordered_ |= policy_.by_size();
    } else {
      unlink(used);
      if (cut) insert(rest);
    }
    blocks_.set_free(used, false);
    ++used_blocks_;
    used_bytes_ += blocks_.bytes(used);
    return used;
  }
  // Moves a listed block, whose size has changed, to its place in the list.
  void relist(Ref at) noexcept {
    if (!policy_.by_size()) return;
    unlink(at);
    insert(at);
  }

  // Extends the region for a request that no free block can serve. Returns the last block, which then can.
  Ref grow(std::size_t need, std::size_t alignment) noexcept {
    if (policy_.grow == 0) return kNone;
    const Ref last = blocks_.last();
    const bool extends = policy_.extension == Extension::gap && last != kNone && blocks_.is_free(last);
    const std::size_t have = extends ? blocks_.bytes(last) : 0;
    const std::size_t least = lead_of(region_.used() - have, alignment) + need - have;
    for (const std::size_t extension : {std::max(least, policy_.grow), least}) {
      const std::size_t bytes = bits::round_up(extension, layout_.alignment);
      if (region_.used() + bytes > blocks_.most_heap_bytes() || region_.grow(bytes) == nullptr) continue;
      if (!extends) return release(blocks_.append(bytes));
      blocks_.extend(last, bytes);
      relist(last);
      return last;
    }
    return kNone;
  }

  // ---- giving back

  // Puts a free block in the list after coalescing it with its neighbours, if the policy says so. Returns the resulting
  // block.
  Ref release(Ref at) noexcept {
    if (policy_.coalescing == Coalescing::immediate) return merge(at);
    insert(at);
    unmerged_ = policy_.coalescing == Coalescing::deferred;
    return policy_.coalescing == Coalescing::listed ? merge_listed(at) : at;
  }

  Ref merge(Ref at) noexcept {
    const Ref next = blocks_.next_physical(at);
    const bool next_free = next != kNone && blocks_.is_free(next);
    const Ref previous = free_before(at);
    // In address order the coalesced block takes the place of one of its parts, so no search is needed.
    if (previous != kNone) {
      if (next_free) absorb(at, next);
      if (policy_.by_address()) {
        join(previous, at);
        return previous;
      }
      unlink(previous);
      join(previous, at);
      insert(previous);
      return previous;
    }
    if (next_free && policy_.by_address()) {
      replace(next, at);
      join(at, next);
      return at;
    }
    if (next_free) absorb(at, next);
    insert(at);
    return at;
  }
  // Returns the previous block if it is free. Without footers this is a search, along the list or over all blocks.
  [[nodiscard]] Ref free_before(Ref at) const noexcept {
    if (blocks_.knows_previous()) {
      const Ref previous = blocks_.previous_physical(at);
      return previous != kNone && blocks_.is_free(previous) ? previous : kNone;
    }
    Ref free_block = first_free();
    const bool ordered = !policy_.linked || policy_.by_address();
    while (free_block != kNone && end_of(free_block) != blocks_.offset(at)) {
      if (ordered && blocks_.offset(free_block) >= blocks_.offset(at)) return kNone;
      free_block = next_free(free_block);
    }
    return free_block;
  }

  // Merges `next`, which is listed, into the free block before it.
  void absorb(Ref at, Ref next) noexcept {
    unlink(next);
    join(at, next);
  }
  void join(Ref at, Ref next) noexcept {
    if (policy_.by_address() && rover_offset_ == blocks_.offset(next)) {
      rover_offset_ = blocks_.offset(at);
      rover_ = at;
    }
    blocks_.join(at, next);
  }

  // Merges every run of free blocks into one block, in the place of the first.
  void merge_all() noexcept {
    unmerged_ = false;
    for (Ref at = blocks_.first(); at != kNone; at = blocks_.next_physical(at)) {
      if (!blocks_.is_free(at)) continue;
      bool merged = false;
      for (Ref next = blocks_.next_physical(at); next != kNone && blocks_.is_free(next);
           next = blocks_.next_physical(at)) {
        absorb(at, next);
        merged = true;
      }
      if (merged) relist(at);
    }
  }
  // Coalesces only neighbours that follow each other in the list. The result keeps its place in the list. Returns the
  // block that `block` has become part of.
  Ref merge_listed(Ref block) noexcept {
    Ref at = head_;
    while (at != kNone) {
      const Ref next = blocks_.next(at);
      if (next != kNone && end_of(at) == blocks_.offset(next)) {
        absorb(at, next);
        disordered_ |= policy_.by_size();
        if (block == next) block = at;
      } else {
        at = next;
      }
    }
    return block;
  }

  // ---- verifying

  // The largest request that could be served. Free neighbours count as one block if they would be coalesced for it.
  [[nodiscard]] std::size_t largest_free() const noexcept {
    std::size_t largest = 0;
    if (policy_.coalescing != Coalescing::deferred) {
      for (Ref at = first_free(); at != kNone; at = next_free(at)) largest = std::max(largest, blocks_.bytes(at));
    } else {
      std::size_t run = 0;
      for (Ref at = blocks_.first(); at != kNone; at = blocks_.next_physical(at)) {
        run = blocks_.is_free(at) ? run + blocks_.bytes(at) : 0;
        largest = std::max(largest, run);
      }
    }
    if (largest < std::max(layout_.minimum, layout_.overhead())) return 0;
    return (largest - layout_.overhead()) / layout_.round * layout_.round;
  }

  Region& region_;
  ListLayout layout_;
  ListPolicy policy_;
  Blocks blocks_;
  std::size_t limit_ = 0;  // requests must be smaller than this
  std::size_t used_blocks_ = 0;
  std::size_t used_bytes_ = 0;  // with headers and footers
  std::size_t free_blocks_ = 0;
  Ref head_ = kNone;
  Ref tail_ = kNone;
  Ref rover_ = kNone;             // where next fit begins; with a list, the next listed block
  std::size_t rover_offset_ = 0;  // in address order: the lowest offset at which the search may begin
  bool disordered_ = false;       // in an order by size: remainders or coalesced blocks have kept their places
  bool unmerged_ = false;         // something was freed since the last merge of all blocks
};

}  // namespace memtool
