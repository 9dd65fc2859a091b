// The check pass: nothing is timed, everything is verified. Each block is filled with a pattern of its own and read
// back before it is freed, so that a strategy that hands out overlapping memory, moves a block or writes into one is
// found; and overlap, alignment and the region's bounds are verified outright.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "engine/capi.h"
#include "engine/probes.hpp"
#include "engine/strategy.hpp"
#include "engine/truth.hpp"

namespace memtool {

template <class S>
class CheckProbe : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;

  // `on_region`: blocks must lie in the region.
  CheckProbe(const S& strategy, const Region& region, bool on_region, std::uint64_t slots)
      : strategy_(strategy), region_(region), on_region_(on_region), objects_(slots) {}

  // After the first complaint the strategy is left alone: what it does next might take the process down, and the words
  // with it.
  template <class Operation>
  void* allocate(Operation operation) noexcept {
    return failed() ? nullptr : operation();
  }
  template <class Operation>
  void* reallocate(Operation operation) noexcept {
    return failed() ? nullptr : operation();
  }
  template <class Operation>
  void deallocate(Operation operation) noexcept {
    if (!failed()) operation();
  }
  template <class Operation>
  void release(Operation operation) noexcept {
    deallocate(operation);
  }

  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t alignment, bool zeroed) {
    ++operations_;
    enter(slot, block, size, alignment);
    if (zeroed) verify_zeroed(block, size);
    fill(objects_[slot], size);
  }
  void deallocating(std::uint32_t slot, void* block, std::uint64_t size) {
    ++operations_;
    verify(objects_[slot], size);
    leave(block, size, objects_[slot]);
  }
  void reallocating(std::uint32_t slot, void* block, std::uint64_t size) {
    ++operations_;
    verify(objects_[slot], size);
    leave(block, size, objects_[slot]);
  }
  void reallocated(std::uint32_t slot, void* block, std::uint64_t old_size, std::uint64_t new_size,
                   std::size_t alignment) {
    const std::uint64_t kept = objects_[slot].pattern;
    enter(slot, block, new_size, alignment);
    const std::uint64_t fresh = objects_[slot].pattern;
    objects_[slot].pattern = kept;
    verify_prefix(objects_[slot], old_size, new_size);
    objects_[slot].pattern = fresh;
    fill(objects_[slot], new_size);
  }

  // The strategy's own invariants, and whether its figures can be true together.
  void verify_heap() {
    ++checks_;
    try {
      strategy_.check();
    } catch (const Detected& detected) {
      complain(detected.what());
    } catch (const std::exception& broken) {
      complain(std::string("its own check fails: ") + broken.what());
    }
    const std::string lie = why_untrue(strategy_.stats(), live_, region_.used());
    if (!lie.empty()) complain(lie);
  }

  [[nodiscard]] bool failed() const noexcept { return !complaint_.empty(); }
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }
  [[nodiscard]] std::uint64_t operations() const noexcept { return operations_; }
  [[nodiscard]] std::uint64_t failed_operation() const noexcept { return failed_operation_; }
  [[nodiscard]] std::uint64_t checks() const noexcept { return checks_; }

 private:
  struct Object {
    std::byte* block = nullptr;
    std::uint64_t pattern = 0;
    bool sound = false;  // false: its block was found wrong, so nothing is written to it or read from it
  };
  // Larger blocks are filled and verified at both ends and in one word of each page between.
  static constexpr std::uint64_t kFilledWhole = 64 * 1024;
  static constexpr std::uint64_t kEnd = 16 * 1024;
  static constexpr std::uint64_t kPage = 4096;

  void complain(const std::string& words) {
    if (complaint_.empty()) {
      complaint_ = words;
      failed_operation_ = operations_ - 1;  // the one that was just counted, from 0
    }
  }

  static std::string hex(const void* address) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", address);
    return text;
  }

  void enter(std::uint32_t slot, void* address, std::uint64_t size, std::size_t alignment) {
    auto* block = static_cast<std::byte*>(address);
    Object& object = objects_[slot];
    object = {block, (operations_ + 1) * 0x9e3779b97f4a7c15ULL, true};
    live_ += size;
    // A default request need not be aligned to more than the largest power of two that fits into it.
    const std::uint64_t need =
        alignment == kDefaultAlignment
            ? std::min<std::uint64_t>(kDefaultAlignment, std::bit_floor(std::max<std::uint64_t>(size, 1)))
            : alignment;
    const auto number = reinterpret_cast<std::uintptr_t>(block);
    if (number % need != 0)
      complain("misaligned block: " + hex(block) + " for a request of " + std::to_string(size) + " bytes aligned to " +
               std::to_string(need));
    if (on_region_ && !region_.contains(block, size)) {
      object.sound = false;
      complain("block outside the region: " + hex(block) + " of " + std::to_string(size) + " bytes");
      return;
    }
    if (strategy_.usable_size(block, size) < size)
      complain("usable_size() is smaller than the " + std::to_string(size) + " bytes asked for");
    const std::uintptr_t end = number + std::max<std::uint64_t>(size, 1);
    const auto next = live_blocks_.lower_bound(number);
    const bool hits_next = next != live_blocks_.end() && next->first < end;
    const bool hits_previous = next != live_blocks_.begin() && std::prev(next)->second > number;
    if (hits_next || hits_previous) {
      object.sound = false;
      complain("overlapping blocks: " + hex(block) + " of " + std::to_string(size) +
               " bytes lies in a block that is still live");
      return;
    }
    live_blocks_.emplace_hint(next, number, end);
  }

  void leave(void* block, std::uint64_t size, const Object& object) {
    live_ -= size;
    if (object.sound) live_blocks_.erase(reinterpret_cast<std::uintptr_t>(block));
  }

  // Calls visit(offset, bytes) for the parts of a block that carry the pattern.
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

  // The byte at `offset` is that of the pattern's 8-byte word rotated with the word's number: shifted copies do not
  // match.
  static std::uint64_t word_at(std::uint64_t pattern, std::uint64_t offset) noexcept {
    return pattern ^ (offset >> 3) * 0xd6e8feb86659fd93ULL;
  }

  void fill(const Object& object, std::uint64_t size) {
    if (!object.sound) return;
    for_each_part(size, [&](std::uint64_t offset, std::uint64_t bytes) {
      for (std::uint64_t at = offset; at < offset + bytes; at += 8) {
        const std::uint64_t word = word_at(object.pattern, at);
        std::memcpy(object.block + at, &word, std::min<std::uint64_t>(8, offset + bytes - at));
      }
    });
  }

  bool part_holds(const Object& object, std::uint64_t offset, std::uint64_t bytes) {
    for (std::uint64_t at = offset; at < offset + bytes; at += 8) {
      const std::uint64_t word = word_at(object.pattern, at);
      if (std::memcmp(object.block + at, &word, std::min<std::uint64_t>(8, offset + bytes - at)) == 0) continue;
      complain("contents changed: " + hex(object.block) + " was overwritten near byte " + std::to_string(at) +
               " while it was live");
      return false;
    }
    return true;
  }

  void verify(const Object& object, std::uint64_t size) {
    if (!object.sound) return;
    bool holds = true;
    for_each_part(
        size, [&](std::uint64_t offset, std::uint64_t bytes) { holds = holds && part_holds(object, offset, bytes); });
  }

  // After a reallocation, of what was filled for the old size only the head is sure to have been filled throughout.
  void verify_prefix(const Object& object, std::uint64_t old_size, std::uint64_t new_size) {
    const std::uint64_t filled = old_size <= kFilledWhole ? old_size : kEnd;
    if (object.sound) part_holds(object, 0, std::min(filled, new_size));
  }

  void verify_zeroed(const void* block, std::uint64_t size) {
    const auto* bytes = static_cast<const unsigned char*>(block);
    if (std::any_of(bytes, bytes + size, [](unsigned char byte) { return byte != 0; }))
      complain("zeroed block is not zero: " + hex(block) + " of " + std::to_string(size) + " bytes");
  }

  const S& strategy_;
  const Region& region_;
  bool on_region_;
  std::vector<Object> objects_;
  std::map<std::uintptr_t, std::uintptr_t> live_blocks_;  // first byte -> one past the last
  std::uint64_t live_ = 0;
  std::uint64_t operations_ = 0;
  std::uint64_t checks_ = 0;
  std::string complaint_;
  std::uint64_t failed_operation_ = 0;
};

}  // namespace memtool
