// The check pass: nothing is timed and everything is verified. Each block is filled with a pattern of its own, which is
// read back before the block is freed. So a strategy is caught if it returns overlapping memory, or moves or overwrites
// a live block. Overlap, alignment and the bounds of the region are also verified directly.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <string>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/lane_number.hpp"
#include "engine/abi/capi.h"
#include "engine/passes/probes.hpp"
#include "engine/passes/truth.hpp"

namespace memtool {

// The record of a heap's live blocks in the check pass: one book for all threads of a replay. A block leaves it before
// its free and enters it after its allocation. So two threads can have the same memory in the book only if the strategy
// gave it to both.
class CheckBook {
 public:
  struct Block {
    std::byte* address = nullptr;
    std::uint64_t pattern = 0;
    bool sound = false;  // false: the block is wrong, so it is neither written nor read
  };
  // What the replay has left alive, and how it got there. The sums over live blocks do not depend on the order of the
  // operations; `order` depends on nothing else.
  struct Summary {
    std::uint64_t live_objects = 0;
    std::uint64_t live_bytes = 0;
    std::uint64_t live_digest = 0;
    std::uint64_t order_digest = 0;
  };

  // Whether anything was wrong. Later findings may be consequences of it.
  [[nodiscard]] bool failed() const noexcept { return failed_.load(std::memory_order_relaxed); }
  // Call this only while no thread is in the book.
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }
  [[nodiscard]] std::uint64_t failed_operation() const noexcept { return failed_operation_; }
  [[nodiscard]] std::uint64_t live_bytes() const {
    const std::scoped_lock lock(mutex_);
    return summary_.live_bytes;
  }

  void complain(const std::string& words) {
    const std::scoped_lock lock(mutex_);
    note(words);
  }

  // Counts an operation and enters its block, of which the program may use `usable` bytes.
  Block enter(void* address, std::uint64_t size, std::uint64_t usable, std::uint64_t operation_kind) {
    const std::scoped_lock lock(mutex_);
    count(operation_kind, size);
    return add(static_cast<std::byte*>(address), size, usable);
  }
  // The second half of a reallocation, which was already counted.
  Block enter_again(void* address, std::uint64_t size, std::uint64_t usable) {
    const std::scoped_lock lock(mutex_);
    return add(static_cast<std::byte*>(address), size, usable);
  }
  // Counts an operation and removes its block, which the caller still owns. `size` is the size at the free.
  Block leave(const void* address, std::uint64_t size, std::uint64_t operation_kind) {
    const std::scoped_lock lock(mutex_);
    count(operation_kind, size);
    const auto entry = live_blocks_.find(reinterpret_cast<std::uintptr_t>(address));
    if (entry == live_blocks_.end()) return {};
    const Live live = entry->second;
    if (live.size != size)
      note("a block of " + std::to_string(live.size) + " bytes is freed as one of " + std::to_string(size) +
           ": a defect of memtool, please report it");
    summary_.live_bytes -= live.size;
    summary_.live_digest -= mixed(live.size);
    --summary_.live_objects;
    const Block block{reinterpret_cast<std::byte*>(entry->first), live.pattern, true};
    live_blocks_.erase(entry);
    return block;
  }

  [[nodiscard]] Summary summary() const noexcept { return summary_; }

 private:
  struct Live {
    std::uintptr_t end;  // one past the last usable byte
    std::uint64_t size;
    std::uint64_t pattern;
  };
  using Blocks = std::map<std::uintptr_t, Live>;

  static std::uint64_t mixed(std::uint64_t value) noexcept {
    value = (value + 1) * 0x9e3779b97f4a7c15ULL;
    return value ^ value >> 29;
  }

  void count(std::uint64_t kind, std::uint64_t size) noexcept {
    ++operations_;
    summary_.order_digest = (summary_.order_digest ^ mixed(size << 2 | kind)) * 0xd6e8feb86659fd93ULL;
  }

  void note(const std::string& words) {
    if (!complaint_.empty()) return;
    complaint_ = lane_number == 0 ? words : "thread " + std::to_string(lane_number - 1) + ": " + words;
    failed_operation_ = operations_ - (operations_ > 0);  // the operation that was just counted, numbered from 0
    failed_.store(true, std::memory_order_relaxed);
  }

  Block add(std::byte* address, std::uint64_t size, std::uint64_t usable) {
    const auto first = reinterpret_cast<std::uintptr_t>(address);
    const std::string lie = why_unusable(usable, size);
    if (!lie.empty()) note(lie);
    const std::uintptr_t end = first + std::max<std::uint64_t>(lie.empty() ? usable : size, 1);
    const auto next = live_blocks_.lower_bound(first);
    const bool hits_next = next != live_blocks_.end() && next->first < end;
    const bool hits_previous = next != live_blocks_.begin() && std::prev(next)->second.end > first;
    if (hits_next || hits_previous) {
      char text[32];
      std::snprintf(text, sizeof text, "%p", static_cast<void*>(address));
      const std::string block = std::string("overlapping blocks: ") + text + " of " + std::to_string(size) + " bytes";
      note(block + why_overlapping(first, size, next));
      return {};
    }
    const Block block{address, (operations_ + 1) * 0x9e3779b97f4a7c15ULL, true};
    live_blocks_.emplace_hint(next, first, Live{end, size, block.pattern});
    summary_.live_bytes += size;
    summary_.live_digest += mixed(size);
    ++summary_.live_objects;
    return block;
  }

  // Tells whether the requested bytes overlap or only the bytes that usable_size() claims.
  [[nodiscard]] std::string why_overlapping(std::uintptr_t first, std::uint64_t size,
                                            Blocks::const_iterator next) const {
    const auto asked_end = [](const auto& live) { return live.first + std::max<std::uint64_t>(live.second.size, 1); };
    const bool hits_next = next != live_blocks_.end() && next->first < first + std::max<std::uint64_t>(size, 1);
    const bool hits_previous = next != live_blocks_.begin() && asked_end(*std::prev(next)) > first;
    return hits_next || hits_previous
               ? " lies in a block that is still live"
               : " lies in what usable_size() says of a block that is still live, or that one in its own";
  }

  mutable std::mutex mutex_;
  Blocks live_blocks_;  // by address
  Summary summary_;
  std::uint64_t operations_ = 0;
  std::string complaint_;
  std::uint64_t failed_operation_ = 0;
  std::atomic<bool> failed_ = false;
};

template <class S>
class CheckProbe : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;

  // `on_region`: blocks must lie in the region.
  CheckProbe(const S& strategy, const Region& region, bool on_region, CheckBook& book) noexcept
      : strategy_(strategy), region_(region), on_region_(on_region), book_(book) {}

  // After the first complaint the strategy is not called again. Its next call might crash the process, and the
  // complaint would be lost.
  template <class Operation>
  void* allocate(Operation operation) noexcept {
    return book_.failed() ? nullptr : operation();
  }
  template <class Operation>
  void* reallocate(Operation operation) noexcept {
    return book_.failed() ? nullptr : operation();
  }
  template <class Operation>
  void deallocate(Operation operation) noexcept {
    if (!book_.failed()) operation();
  }
  template <class Operation>
  void release(Operation operation) noexcept {
    deallocate(operation);
  }

  void allocated(std::uint32_t, void* block, std::uint64_t size, std::size_t alignment, bool zeroed) {
    const std::uint64_t usable = usable_of(block, size);
    const Block entered = inspected(book_.enter(block, size, usable, kAllocate), size, usable, alignment);
    if (zeroed && entered.sound) verify_zeroed(block, size);
    fill(entered, size);
  }
  void deallocating(std::uint32_t, void* block, std::uint64_t size) {
    verify(book_.leave(block, size, kDeallocate), size);
  }
  [[nodiscard]] std::uint64_t live_bytes() const { return book_.live_bytes(); }
  void reallocating(std::uint32_t, void* block, std::uint64_t size) {
    resized_ = book_.leave(block, size, kReallocate);
    verify(resized_, size);
  }
  void reallocated(std::uint32_t, void* block, std::uint64_t old_size, std::uint64_t new_size, std::size_t alignment) {
    const std::uint64_t usable = usable_of(block, new_size);
    const Block entered = inspected(book_.enter_again(block, new_size, usable), new_size, usable, alignment);
    if (!entered.sound) return;
    verify_prefix({entered.address, resized_.pattern, resized_.sound}, old_size, new_size);
    fill(entered, new_size);
  }

  // Verifies the strategy's own invariants, and that its figures are consistent.
  void verify_heap() {
    ++checks_;
    try {
      strategy_.check();
    } catch (const Detected& detected) {
      complain(detected.what());
    } catch (const std::exception& broken) {
      complain(std::string("its own check fails: ") + broken.what());
    }
    const std::string lie = why_untrue(strategy_.stats(), book_.live_bytes(), region_.used());
    if (!lie.empty()) complain(lie);
  }

  [[nodiscard]] std::uint64_t checks() const noexcept { return checks_; }

 private:
  using Block = CheckBook::Block;
  enum Operation : std::uint64_t { kAllocate, kDeallocate, kReallocate };
  // Larger blocks are filled and verified at both ends and in one word of each page between.
  static constexpr std::uint64_t kFilledWhole = 64 * 1024;
  static constexpr std::uint64_t kEnd = 16 * 1024;
  static constexpr std::uint64_t kPage = 4096;

  static std::string hex(const void* address) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", address);
    return text;
  }

  void complain(const std::string& words) { book_.complain(words); }

  // Does not ask a strategy about a block outside of its region, because the strategy would look for its metadata
  // there.
  [[nodiscard]] std::uint64_t usable_of(void* block, std::uint64_t size) const noexcept {
    return on_region_ && !region_.contains(block, size) ? size : strategy_.usable_size(block, size);
  }

  // Returns an entered block, marked as unsound if it is not what was requested.
  Block inspected(Block block, std::uint64_t size, std::uint64_t usable, std::size_t alignment) {
    if (!block.sound) return block;
    // The block of a default request need not be aligned to more than the largest power of two not greater than its
    // size.
    const std::uint64_t need =
        alignment == kDefaultAlignment
            ? std::min<std::uint64_t>(kDefaultAlignment, std::bit_floor(std::max<std::uint64_t>(size, 1)))
            : alignment;
    if (reinterpret_cast<std::uintptr_t>(block.address) % need != 0)
      complain("misaligned block: " + hex(block.address) + " for a request of " + std::to_string(size) +
               " bytes aligned to " + std::to_string(need));
    if (on_region_ && !region_.contains(block.address, size)) {
      block.sound = false;
      complain("block outside the region: " + hex(block.address) + " of " + std::to_string(size) + " bytes");
      return block;
    }
    if (on_region_ && usable <= kMostBytes && !region_.contains(block.address, usable))
      complain("usable_size() says " + std::to_string(usable) + " bytes of a block of " + std::to_string(size) +
               ", which reach beyond the region");
    return block;
  }

  // Calls visit(offset, bytes) for the parts of a block that hold the pattern.
  template <class Visit>
  static void for_each_part(std::uint64_t size, Visit visit) {
    if (size <= kFilledWhole) {
      visit(std::uint64_t{0}, size);
      return;
    }
    visit(std::uint64_t{0}, kEnd);
    for (std::uint64_t at = kEnd; at + 8 <= size - kEnd; at += kPage) visit(at, std::uint64_t{8});
    visit(size - kEnd, kEnd);
  }

  // Each 8-byte word is the pattern, rotated by the number of the word, so that shifted copies do not match.
  static std::uint64_t word_at(std::uint64_t pattern, std::uint64_t offset) noexcept {
    return pattern ^ (offset >> 3) * 0xd6e8feb86659fd93ULL;
  }

  void fill(const Block& block, std::uint64_t size) {
    if (!block.sound) return;
    for_each_part(size, [&](std::uint64_t offset, std::uint64_t bytes) {
      const std::uint64_t end = offset + bytes;
      std::uint64_t at = offset;
      for (; end - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
        const std::uint64_t word = word_at(block.pattern, at);
        std::memcpy(block.address + at, &word, sizeof word);
      }
      const std::uint64_t rest = word_at(block.pattern, at);
      std::memcpy(block.address + at, &rest, end - at);
    });
  }

  bool part_holds(const Block& block, std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t end = offset + bytes;
    std::uint64_t at = offset;
    bool holds = true;
    // One word at a time, so that the comparison needs no call.
    for (; end - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
      const std::uint64_t word = word_at(block.pattern, at);
      holds = std::memcmp(block.address + at, &word, sizeof word) == 0;
      if (!holds) break;
    }
    const std::uint64_t rest = word_at(block.pattern, at);
    if (holds && std::memcmp(block.address + at, &rest, end - at) == 0) return true;
    complain("contents changed: " + hex(block.address) + " was overwritten near byte " + std::to_string(at) +
             " while it was live");
    return false;
  }

  void verify(const Block& block, std::uint64_t size) {
    if (!block.sound) return;
    bool holds = true;
    for_each_part(
        size, [&](std::uint64_t offset, std::uint64_t bytes) { holds = holds && part_holds(block, offset, bytes); });
  }

  // After a reallocation, only the head of the old block is sure to have been filled completely.
  void verify_prefix(const Block& block, std::uint64_t old_size, std::uint64_t new_size) {
    const std::uint64_t filled = old_size <= kFilledWhole ? old_size : kEnd;
    if (block.sound) part_holds(block, 0, std::min(filled, new_size));
  }

  void verify_zeroed(const void* block, std::uint64_t size) {
    const auto* bytes = static_cast<const unsigned char*>(block);
    if (std::any_of(bytes, bytes + size, [](unsigned char byte) { return byte != 0; }))
      complain("zeroed block is not zero: " + hex(block) + " of " + std::to_string(size) + " bytes");
  }

  const S& strategy_;
  const Region& region_;
  bool on_region_;
  CheckBook& book_;
  Block resized_;  // the block of a reallocation, between its two hooks
  std::uint64_t checks_ = 0;
};

}  // namespace memtool
