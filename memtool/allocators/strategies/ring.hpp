// A ring buffer: blocks are freed in the order of their allocation, and their memory is used again when the ring wraps.
//
// The word before each block, its link, holds the address at which the next block begins. So a free moves the tail
// there without reading anything else. Live blocks form one run, or two runs after the head has wrapped to the base and
// follows the tail. A fixed buffer would have to refuse a request when it is full; this ring grows. The head then moves
// to the end of the memory and begins a third run, and the ring closes again when the tail arrives there. A separate
// link leads from the end of each run to the next.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/headed_bytes.hpp"

namespace memtool {

class Ring {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      kChunk,
  }};
  static constexpr StrategyInfo info{
      .name = "ring",
      .family = "arena",
      .summary = "A ring buffer, first in, first out; it grows when full and has one word of metadata for each block.",
      .source = "Knuth, The Art of Computer Programming, vol. 1, 2.2.2 (queues in a circle of memory)",
      .complexity = "allocate O(1), deallocate O(1); the youngest block is resized in place if there is room",
      .when = "messages, logs and uploads, which are consumed in the order of their creation",
      .parameters = kParameters,
      .free_order = FreeOrder::fifo,
  };

  Ring(Region& region, const Parameters& parameters) noexcept : region_(region), chunk_(parameters["chunk"]) {}
  static Limits limits(const Parameters&) { return {.least_alignment = kHeaderWord}; }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    alignment = std::max(alignment, kLink);
    const std::size_t bytes = headed_bytes(size, alignment);
    if (bytes < size) return nullptr;
    if (!fits(head_, limit_, bytes, alignment) && !find_room(bytes, alignment)) [[unlikely]]
      return nullptr;
    const std::size_t padding = padding_at(head_, alignment);
    // Padding has a link too, so that a walk along the ring need not know the alignments.
    if (padding > 0) set_link(head_, head_ + padding, kPadding);
    youngest_ = head_ + padding;
    std::byte* block = youngest_ + kLink;
    head_ = block + bytes;
    set_link(youngest_, head_, 0);
    granted_ += headed_usable(size);
    ++blocks_;
    return block;
  }

  void deallocate(void* block, std::size_t size, std::size_t) noexcept {
    tail_ = next_of(static_cast<std::byte*>(block) - kLink);
    granted_ -= headed_usable(size);
    if (--blocks_ == 0) [[unlikely]]
      restart();
  }

  // Only the youngest block can be resized, because the memory behind every other block is in use.
  [[gnu::noinline]] void* reallocate(void* block, std::size_t old_size, std::size_t new_size,
                                     std::size_t alignment) noexcept {
    auto* at = static_cast<std::byte*>(block);
    const std::size_t bytes = headed_bytes(new_size, alignment);
    if (at - kLink != youngest_ || bytes < new_size) return nullptr;
    if (bytes > room(at, limit_)) {
      std::byte* link = youngest_;
      void* fresh = allocate(new_size, alignment);
      if (fresh == nullptr) return nullptr;
      std::memcpy(fresh, block, std::min(old_size, new_size));
      link_at(link) |= kPadding;  // the memory that it leaves is freed together with the new block
      granted_ -= headed_usable(old_size);
      --blocks_;
      return fresh;
    }
    head_ = at + bytes;
    set_link(youngest_, head_, 0);
    granted_ = granted_ - headed_usable(old_size) + headed_usable(new_size);
    return block;
  }

  std::size_t usable_size(const void*, std::size_t size) const noexcept { return headed_usable(size); }

  HeapStats stats() const noexcept {
    const std::size_t ahead = room(head_, wrapped() ? tail_ : end_);
    const std::size_t round = in_one_run() ? room(region_.base(), tail_) : 0;
    const std::size_t largest = std::max(ahead, round);
    // Metadata may include padding with its link, and the link to another run.
    return {.granted = granted_,
            .free_bytes = ahead + round,
            .largest_free = largest > 4 * kLink ? bits::round_down(largest - 2 * kLink, kDefaultAlignment) - kLink : 0,
            .free_blocks = std::size_t{ahead > 0} + std::size_t{round > 0},
            .used_blocks = blocks_,
            .metadata_bytes = blocks_ * kLink};
  }

  void walk(const BlockVisitor& visit) const {
    const std::byte* at = region_.base();
    const auto free_to = [&](const std::byte* address) {
      if (address > at) visit(at, static_cast<std::size_t>(address - at), BlockState::free);
    };
    for (const Span& span : spans()) {
      free_to(span.begin);
      const std::byte* payload = span.is_block ? span.begin + kLink : span.end;
      visit(span.begin, static_cast<std::size_t>(payload - span.begin), BlockState::metadata);
      if (span.is_block) visit(payload, static_cast<std::size_t>(span.end - payload), BlockState::used);
      at = span.end;
    }
    free_to(end_);
  }

  void check() const {
    require(end_ == region_.base() + region_.used(), "the ring does not end where its region does");
    require(blocks_ > 0 || (head_ == region_.base() && tail_ == head_), "an empty ring does not begin at its base");
    const std::byte* at = region_.base();
    std::size_t blocks = 0;
    std::size_t taken = 0;
    for (const Span& span : spans()) {
      require(at <= span.begin && span.begin < span.end && span.end <= end_, "two blocks of the ring overlap");
      at = span.end;
      if (!span.is_block) continue;
      ++blocks;
      taken += static_cast<std::size_t>(span.end - span.begin) - kLink;
    }
    require(blocks == blocks_, "the ring does not lead through as many blocks as were counted");
    // A block that is aligned to 16 may end one word behind the bytes that it grants.
    require(granted_ <= taken && taken - granted_ <= blocks * kLink,
            "the blocks of the ring are not as large as was counted");
  }

 private:
  static constexpr std::size_t kLink = kHeaderWord;
  // Flags in the low bits of a link: what begins there is not a block but the padding before one, or the end of a run.
  static constexpr std::uintptr_t kPadding = 1;
  static constexpr std::uintptr_t kTurn = 2;

  // A link and the bytes that belong to it.
  struct Span {
    const std::byte* begin;
    const std::byte* end;
    bool is_block;
  };

  static std::uintptr_t& link_at(std::byte* at) noexcept { return *reinterpret_cast<std::uintptr_t*>(at); }
  static void set_link(std::byte* at, const std::byte* next, std::uintptr_t flags) noexcept {
    link_at(at) = reinterpret_cast<std::uintptr_t>(next) | flags;
  }
  static bool is_block(std::byte* at) noexcept { return (link_at(at) & (kPadding | kTurn)) == 0; }
  static std::byte* next_of(std::byte* at) noexcept {
    return reinterpret_cast<std::byte*>(link_at(at) & ~(kPadding | kTurn));
  }

  static std::size_t padding_at(const std::byte* at, std::size_t alignment) noexcept {
    return -(reinterpret_cast<std::uintptr_t>(at) + kLink) & (alignment - 1);
  }
  static std::size_t room(const std::byte* from, const std::byte* to) noexcept {
    return to > from ? static_cast<std::size_t>(to - from) : 0;
  }
  static bool fits(const std::byte* at, const std::byte* limit, std::size_t bytes, std::size_t alignment) noexcept {
    const std::size_t before = padding_at(at, alignment) + kLink;
    const std::size_t space = room(at, limit);
    return before <= space && bytes <= space - before;
  }

  // Whether the head is behind the tail. The head never reaches the tail, because the ring would then look empty.
  [[nodiscard]] bool wrapped() const noexcept { return tail_ > head_; }
  [[nodiscard]] bool in_one_run() const noexcept { return run_ <= tail_ && tail_ <= head_; }

  void restart() noexcept {
    head_ = tail_ = run_ = region_.base();
    limit_ = end_ - kLink;
  }

  // Moves the head to a place where a block fits: before the tail, which may have moved, or at the base, or at the end
  // of the memory, which then grows. Returns false, and changes nothing, if memory is exhausted.
  [[gnu::noinline]] bool find_room(std::size_t bytes, std::size_t alignment) noexcept {
    while (blocks_ > 0 && !is_block(tail_)) tail_ = next_of(tail_);
    std::byte* before_tail = tail_ - kLink;
    if (wrapped()) {
      limit_ = before_tail;
      if (fits(head_, limit_, bytes, alignment)) return true;
      std::byte* beyond = top_ + kLink;
      if (!reach(beyond, bytes, alignment)) return false;
      turn_to(beyond);
    } else if (in_one_run() && fits(region_.base(), before_tail, bytes, alignment)) {
      top_ = head_;
      turn_to(region_.base());
      limit_ = before_tail;
      return true;
    } else if (!reach(head_, bytes, alignment)) {
      return false;
    }
    limit_ = end_ - kLink;
    return true;
  }

  void turn_to(std::byte* address) noexcept {
    set_link(head_, address, kTurn);
    head_ = run_ = address;
  }

  // Ensures that a block and the link behind it fit between `at` and the end of the memory.
  bool reach(const std::byte* at, std::size_t bytes, std::size_t alignment) noexcept {
    if (fits(at, end_ - kLink, bytes, alignment)) return true;
    const std::size_t left = region_.capacity() - region_.used();
    if (!fits(at, end_ + left - kLink, bytes, alignment)) return false;
    const std::size_t need = padding_at(at, alignment) + kLink + bytes + kLink - room(at, end_);
    const std::size_t step = std::min(std::max(need, chunk_), left);
    if (region_.grow(step) == nullptr) return false;
    end_ += step;
    return true;
  }

  // The contents of the ring, by address.
  std::vector<Span> spans() const {
    std::vector<Span> spans;
    std::size_t blocks = 0;
    for (std::byte* at = tail_; blocks < blocks_; at = next_of(at)) {
      const bool is_turn = (link_at(at) & kTurn) != 0;
      spans.push_back({at, is_turn ? at + kLink : next_of(at), is_block(at)});
      blocks += spans.back().is_block;
    }
    std::ranges::sort(spans, {}, &Span::begin);
    return spans;
  }

  Region& region_;
  std::size_t chunk_;
  std::byte* head_ = region_.base();   // where the next block may begin
  std::byte* limit_ = region_.base();  // the head may advance to here without a further check
  std::byte* tail_ = region_.base();   // the link of the oldest block, or padding before it
  std::byte* run_ = region_.base();    // where the run of the head began
  std::byte* top_ = region_.base();    // end of the run from which the head has wrapped
  std::byte* end_ = region_.base();
  std::byte* youngest_ = nullptr;  // link of the youngest block
  std::size_t granted_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Ring);
