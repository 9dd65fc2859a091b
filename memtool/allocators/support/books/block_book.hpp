// The book of a debugging adaptor: every live block and the most recently freed ones, enough to describe a wrong free.
#pragma once

#include <cinttypes>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "allocators/concept/adaptor.hpp"
#include "allocators/support/books/call_site.hpp"
#include "allocators/support/books/mapped_memory.hpp"

namespace memtool {

class BlockBook {
 public:
  struct Entry {
    std::size_t size;
    std::size_t alignment;
    std::uint64_t operation;  // number of the operation that allocated it
    std::size_t depth;        // depth of the scope in which it was allocated
    const void* caller;       // see call_site.hpp
  };

  explicit BlockBook(Findings& findings) : findings_(findings) {}

  // Returns false if there is no memory for the entry.
  bool enter(void* block, std::size_t size, std::size_t alignment) noexcept {
    return enter(block, {size, alignment, findings_.operation(), marks_.size(), call_site});
  }
  bool enter(void* block, const Entry& entry) noexcept {
    try {
      if (!marks_.empty()) in_scopes_.push_back(block);
      live_.insert_or_assign(block, entry);
      if (const auto freed = freed_.find(block); freed != freed_.end()) freed_.erase(freed);
      live_bytes_ += entry.size;
      return true;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

  // Returns the entry of a block that the program frees or resizes. If it must not do so, adds a finding and returns
  // nullptr; the heap below must then not receive the call.
  [[nodiscard]] const Entry* claim(void* block, std::size_t size, std::size_t alignment, const char* call) {
    const auto entry = live_.find(block);
    if (entry == live_.end()) {
      findings_.add(why_not_live(block, call));
      return nullptr;
    }
    if (entry->second.size == size && entry->second.alignment == alignment) return &entry->second;
    findings_.add(worded("%s with another size or alignment (%zu bytes, %zu) than it was asked for with: %s", call,
                         size, alignment, describe(block, entry->second).c_str()));
    return nullptr;
  }

  void leave(void* block) {
    const auto entry = live_.find(block);
    live_bytes_ -= entry->second.size;
    remember(block, entry->second);
    live_.erase(entry);
  }

  // A moved object belongs to the current scope.
  void resize(void* block, void* moved, std::size_t new_size) {
    Entry entry = live_.find(block)->second;
    if (moved != block) {
      leave(block);
      entry.depth = marks_.size();
    } else {
      live_bytes_ -= entry.size;
    }
    entry.size = new_size;
    // This cannot run out of memory: a block resized in place has its node, and otherwise a node of the same size was
    // just freed.
    (void)enter(moved, entry);
  }

  void mark() { marks_.push_back(in_scopes_.size()); }
  // Ends the youngest scope. Calls ended(block, entry) for each block that is still live in it.
  template <class Ended>
  void release(Ended ended) {
    std::uint64_t count = 0;
    for (std::size_t i = marks_.back(); i < in_scopes_.size(); ++i) {
      const auto entry = live_.find(in_scopes_[i]);
      if (entry == live_.end() || entry->second.depth != marks_.size()) continue;
      ended(entry->first, entry->second);
      live_bytes_ -= entry->second.size;
      remember(entry->first, entry->second);
      live_.erase(entry);
      ++count;
    }
    in_scopes_.resize(marks_.back());
    marks_.pop_back();
    findings_.count_scope(count);
  }

  [[nodiscard]] const auto& live() const noexcept { return live_; }
  [[nodiscard]] std::size_t live_bytes() const noexcept { return live_bytes_; }
  [[nodiscard]] Findings& findings() const noexcept { return findings_; }

  // Memory for other records of an adaptor.
  [[nodiscard]] std::pmr::memory_resource* memory() noexcept { return &pools_; }

  // Adds the book's own memory, which lies outside of the region, to the figures of the heap below.
  [[nodiscard]] HeapStats with_book(HeapStats stats) const noexcept {
    if (stats.metadata_bytes != kNotApplicable) stats.metadata_bytes += memory_.bytes();
    stats.metadata_apart_bytes += memory_.bytes();
    return stats;
  }

  [[nodiscard]] static std::string describe(const void* block, const Entry& entry) {
    return worded("the block of %s at %p (allocated at operation %" PRIu64 "%s)", in_bytes(entry.size).c_str(), block,
                  entry.operation, CallSite(entry.caller).after(", called from ").c_str());
  }

 private:
  // Older frees are forgotten. A second free of such a block is reported as that of a foreign pointer.
  static constexpr std::size_t kMostFreed = 65536;

  struct Freed {
    Entry entry;
    std::uint64_t operation;
  };

  void remember(void* block, const Entry& entry) {
    try {
      freed_.insert_or_assign(block, Freed{entry, findings_.operation()});
      freed_order_.emplace_back(block, findings_.operation());
      if (freed_order_.size() <= kMostFreed) return;
      const auto [oldest, operation] = freed_order_.front();
      freed_order_.pop_front();
      const auto freed = freed_.find(oldest);
      if (freed != freed_.end() && freed->second.operation == operation) freed_.erase(freed);
    } catch (const std::bad_alloc&) {
      // A second free of this block will be reported as that of a foreign pointer.
    }
  }

  [[nodiscard]] std::string why_not_live(void* block, const char* call) const {
    const std::uint64_t now = findings_.operation();
    if (const auto freed = freed_.find(block); freed != freed_.end())
      return worded("double %s: %s was freed at operation %" PRIu64 " and again at operation %" PRIu64, call,
                    describe(block, freed->second.entry).c_str(), freed->second.operation, now);
    const auto* at = static_cast<const std::byte*>(block);
    for (const auto& [begin, entry] : live_) {
      const auto* first = static_cast<const std::byte*>(begin);
      if (at < first || at >= first + entry.size) continue;
      return worded("%s of a foreign pointer at operation %" PRIu64 ": %p lies %zu bytes into %s", call, now, block,
                    static_cast<std::size_t>(at - first), describe(begin, entry).c_str());
    }
    return worded("%s of a foreign pointer at operation %" PRIu64 ": %p is not a block of this heap", call, now, block);
  }

  Findings& findings_;
  MappedMemory memory_;
  std::pmr::unsynchronized_pool_resource pools_{&memory_};
  std::pmr::unordered_map<void*, Entry> live_{&pools_};
  std::pmr::unordered_map<void*, Freed> freed_{&pools_};
  std::pmr::deque<std::pair<void*, std::uint64_t>> freed_order_{&pools_};
  std::pmr::vector<void*> in_scopes_{&pools_};
  std::pmr::vector<std::size_t> marks_{&pools_};
  std::size_t live_bytes_ = 0;
};

// A pattern of bytes, and the search for bytes of it that were overwritten.
struct Pattern {
  static constexpr std::uint8_t kBefore = 0xfa;  // in front of a block
  static constexpr std::uint8_t kAfter = 0xfb;   // behind a block
  static constexpr std::uint8_t kFreed = 0xfd;

  struct Damage {
    std::size_t first;  // offset of the first byte that differs
    std::size_t last;
    explicit operator bool() const noexcept { return last != kNone; }
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  [[nodiscard]] static Damage damage(const void* memory, std::size_t bytes, std::uint8_t pattern) noexcept {
    const auto* at = static_cast<const std::uint8_t*>(memory);
    std::size_t first = 0;
    // Eight bytes at a time, because the pattern is nearly always intact.
    std::uint64_t whole = 0;
    std::memset(&whole, pattern, sizeof whole);
    for (std::uint64_t word = 0; first + sizeof word <= bytes; first += sizeof word) {
      std::memcpy(&word, at + first, sizeof word);
      if (word != whole) break;
    }
    while (first < bytes && at[first] == pattern) ++first;
    if (first == bytes) return {0, kNone};
    std::size_t last = bytes - 1;
    while (at[last] == pattern) --last;
    return {first, last};
  }
};

}  // namespace memtool
