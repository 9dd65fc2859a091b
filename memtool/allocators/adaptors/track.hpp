// Counts the requests of a program to its heap.
#pragma once

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

#include "allocators/support/bits.hpp"
#include "allocators/support/books/bookkeeper.hpp"
#include "allocators/support/json.hpp"

namespace memtool {

class Track final : public Bookkeeper {
 public:
  static constexpr AdaptorInfo info{
      .name = "track",
      .summary =
          "Reports how the heap is used: calls of each operation, sizes, and the peaks of live blocks and bytes.",
      .source = "glibc's memusage(1)",
      .cost = "one hash table entry for each live block, and a few additions for each operation",
      .when = "learning which requests reach a heap; below another adaptor, learning what that one turns them into",
      .keeps_books = true,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings& findings) {
    return std::make_unique<Track>(std::move(below), findings);
  }

  using Bookkeeper::Bookkeeper;

  void* allocate(std::size_t size, std::size_t alignment) override {
    return counted(Bookkeeper::allocate(size, alignment), size);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    void* block = counted(Bookkeeper::allocate_zeroed(size, alignment), size);
    zeroed_ += block != nullptr;
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    const std::size_t before = book().live().size();
    Bookkeeper::deallocate(block, size, alignment);
    frees_ += book().live().size() != before;
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    void* moved = Bookkeeper::reallocate(block, old_size, new_size, alignment);
    if (moved == nullptr) {
      ++refused_;
      return nullptr;
    }
    ++reallocations_;
    moved_ += moved != block;
    see_peak();
    return moved;
  }

  void report(std::string& json) const override {
    below().report(json);
    JsonWriter out;
    out.raw(json.empty() ? "" : ",").key("track").raw("{");
    const auto figure = [&](std::string_view name, std::uint64_t value) { out.key(name).number(value).raw(","); };
    figure("allocations", allocations_);
    figure("zeroed", zeroed_);
    figure("frees", frees_);
    figure("ended_by_scope", ended_);
    figure("reallocations", reallocations_);
    figure("moved", moved_);
    figure("refused", refused_);
    figure("total_bytes", total_bytes_);
    figure("peak_live_bytes", peak_bytes_);
    figure("peak_live_blocks", peak_blocks_);
    figure("live_bytes", book().live_bytes());
    figure("live_blocks", book().live().size());
    out.key("sizes").raw("{");
    bool first = true;
    for (std::size_t log2 = 0; log2 < sizes_.size(); ++log2) {
      if (sizes_[log2] == 0) continue;
      out.raw(first ? "" : ",").key(std::to_string(std::uint64_t{1} << log2)).number(sizes_[log2]);
      first = false;
    }
    out.raw("}");
    report_callers(out);
    json += std::move(out.raw("}")).take();
  }

 private:
  void ended(void*, const BlockBook::Entry&) override { ++ended_; }

  void* counted(void* block, std::size_t size) noexcept {
    if (block == nullptr) {
      ++refused_;
      return nullptr;
    }
    ++allocations_;
    total_bytes_ += size;
    ++sizes_[bits::log2_ceil(size)];
    if (call_site != nullptr) count_caller(size);
    see_peak();
    return block;
  }
  void count_caller(std::size_t size) noexcept {
    try {
      Called& called = callers_[call_site];
      ++called.allocations;
      called.bytes += size;
    } catch (const std::bad_alloc&) {
      // There was no memory for the entry, so the report lacks this one.
    }
  }
  // Reports the callers that requested the most bytes. In a replay no caller is known.
  void report_callers(JsonWriter& out) const {
    std::vector<std::pair<const void*, Called>> callers(callers_.begin(), callers_.end());
    if (callers.empty()) return;
    std::ranges::sort(callers, std::greater{}, [](const auto& caller) { return caller.second.bytes; });
    callers.resize(std::min(callers.size(), kMostCallers));
    out.raw(",").key("callers").raw("[");
    for (const auto& caller : callers) {
      out.raw(&caller == &callers.front() ? "" : ",").raw("{").key("caller").text(CallSite(caller.first).words());
      out.raw(",").key("allocations").number(caller.second.allocations);
      out.raw(",").key("bytes").number(caller.second.bytes).raw("}");
    }
    out.raw("]");
  }
  void see_peak() noexcept {
    peak_bytes_ = std::max<std::uint64_t>(peak_bytes_, book().live_bytes());
    peak_blocks_ = std::max<std::uint64_t>(peak_blocks_, book().live().size());
  }

  std::uint64_t allocations_ = 0, zeroed_ = 0, frees_ = 0, ended_ = 0, reallocations_ = 0, moved_ = 0, refused_ = 0;
  std::uint64_t total_bytes_ = 0, peak_bytes_ = 0, peak_blocks_ = 0;
  static constexpr std::size_t kMostCallers = 16;
  struct Called {
    std::uint64_t allocations = 0;
    std::uint64_t bytes = 0;
  };
  std::pmr::unordered_map<const void*, Called> callers_{book().memory()};
  std::array<std::uint64_t, 64> sizes_{};  // index: log2 of the smallest power of two that is at least the size
};

}  // namespace memtool
