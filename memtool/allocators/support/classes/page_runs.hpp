// Runs of whole pages in a region, for strategies that carve pages into blocks of one size and serve large requests
// with whole runs.
//
// A separate table has one entry for each page. So a free page is never touched, and the table of a reserved region
// costs only the part in use. Free runs are kept in bins by length: one bin for each length up to 64 pages, then eight
// bins for each doubling. A bin lists the youngest run first. Free neighbours coalesce at once. A request takes the
// first run that fits from the shortest bin that has one, so a search covers only runs within an eighth of the
// request's length.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "allocators/support/bits.hpp"

namespace memtool {

class PageRuns {
  struct Entry;

 public:
  static constexpr std::size_t kPage = 4096;

  explicit PageRuns(Region& region) noexcept : region_(region) {
    heads_.fill(kNone);
    const std::size_t pages = region.capacity() / kPage;
    table_bytes_ = bits::round_up((pages + 1) * sizeof(Entry), kPage);
    void* mapped =
        mmap(nullptr, table_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    table_ = mapped == MAP_FAILED ? nullptr : static_cast<Entry*>(mapped);
    region.count_apart(this, [](const void* runs, std::size_t used) noexcept {
      return static_cast<const PageRuns*>(runs)->table_bytes(used);
    });
  }
  ~PageRuns() {
    if (table_ != nullptr) munmap(table_, table_bytes_);
  }
  PageRuns(const PageRuns&) = delete;
  PageRuns& operator=(const PageRuns&) = delete;

  [[nodiscard]] static std::size_t pages_for(std::size_t bytes) noexcept {
    return std::max<std::size_t>(1, bytes / kPage + (bytes % kPage != 0));
  }

  // Returns a run of `pages` pages whose address is a multiple of `alignment` (a power of two), or nullptr if memory is
  // exhausted.
  [[nodiscard]] void* allocate(std::size_t pages, std::size_t alignment) noexcept {
    if (table_ == nullptr || pages > region_.capacity() / kPage) return nullptr;
    const std::uint32_t run = find(pages, alignment);
    if (run != kNone) return take(run, pages, alignment);
    return grow(pages, alignment);
  }

  void deallocate(void* address) noexcept {
    std::uint32_t first = page_of(address);
    std::uint32_t pages = table_[first].pages;
    used_pages_ -= pages;
    const std::uint32_t next = first + pages;
    if (next < end() && table_[next].state == kFree) {
      pages += table_[next].pages;
      unlink(next);
    }
    if (first > 0 && table_[first - 1].state == kFree) {
      const std::uint32_t before = first - table_[first - 1].pages;
      pages += table_[before].pages;
      unlink(before);
      first = before;
    }
    link(first, pages);
  }

  // Tries to resize a used run without a tag in place to `pages` pages. Returns whether that succeeded.
  [[nodiscard]] bool resize(void* address, std::size_t pages) noexcept {
    const std::uint32_t first = page_of(address);
    const std::size_t before = table_[first].pages;
    const std::uint32_t next = first + table_[first].pages;
    if (pages > before) {
      const std::size_t more = pages - before;
      if (next == end() && more <= region_.capacity() / kPage && region_.grow(more * kPage) != nullptr) {
        used_pages_ += more;
      } else if (next < end() && table_[next].state == kFree && table_[next].pages >= more) {
        take(next, more, kPage);
      } else {
        return false;
      }
      use_all(first, pages);
    } else if (pages < before) {
      use_all(first, pages);
      use_all(first + static_cast<std::uint32_t>(pages), before - pages);
      deallocate(region_.base() + (std::size_t{first} + pages) * kPage);
    }
    return true;
  }

  [[nodiscard]] std::size_t run_bytes(const void* address) const noexcept {
    return std::size_t{table_[page_of(address)].pages} * kPage;
  }
  // Makes the system provide the pages of a used run now, if it can. For all of them together this takes about half the
  // time of one fault for each. Preserves errno.
  static void populate(void* first, std::size_t bytes) noexcept {
    constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE: Linux 5.14, and not in every C library's headers
    const int problem = errno;
    if (madvise(first, bytes, kPopulateWrite) != 0)
      errno = problem;  // otherwise the first write to each page faults it in
  }
  // A used run may carry a tag, which tag() returns for any address in the run.
  void set_tag(const void* run, std::uint32_t tag) noexcept {
    const std::uint32_t first = page_of(run);
    for (std::uint32_t page = first; page < first + table_[first].pages; ++page) table_[page].next = tag;
  }
  // Returns the tag of the run that holds an address, or kNoTag for the first page of a run without one.
  [[nodiscard]] std::uint32_t tag(const void* address) const noexcept { return table_[page_of(address)].next; }
  static constexpr std::uint32_t kNoTag = ~std::uint32_t{0};
  // The same, for callers that look up several addresses.
  class Tags {
   public:
    explicit Tags(const PageRuns& runs) noexcept : base_(runs.region_.base()), table_(runs.table_) {}
    [[nodiscard, gnu::always_inline]] std::uint32_t of(const void* address) const noexcept {
      return table_[static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_) / kPage].next;
    }

   private:
    const std::byte* const base_;
    const Entry* const table_;
  };

  [[nodiscard]] std::size_t used_bytes() const noexcept { return used_pages_ * kPage; }
  [[nodiscard]] std::size_t free_bytes() const noexcept { return (end() - used_pages_) * kPage; }
  [[nodiscard]] std::size_t free_runs() const noexcept { return free_runs_; }
  // The size of the table now, or once the region has `used` bytes.
  [[nodiscard]] std::size_t table_bytes(std::size_t used = 0) const noexcept {
    return std::max(region_.used(), used) / kPage * sizeof(Entry);
  }
  [[nodiscard]] std::size_t largest_free() const noexcept {
    for (std::size_t bin = kBins; bin-- > 0;) {
      std::uint32_t largest = 0;
      for (std::uint32_t run = heads_[bin]; run != kNone; run = table_[run].next)
        largest = std::max(largest, table_[run].pages);
      if (largest > 0) return std::size_t{largest} * kPage;
    }
    return 0;
  }

  // Calls visit(address, bytes, is_free) for every run, in address order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (std::uint32_t page = 0; page < end(); page += table_[page].pages)
      visit(region_.base() + std::size_t{page} * kPage, std::size_t{table_[page].pages} * kPage,
            table_[page].state == kFree);
  }

  void check() const {
    std::size_t used = 0;
    std::size_t runs = 0;
    bool was_free = false;
    for (std::uint32_t page = 0; page < end(); page += table_[page].pages) {
      const Entry& entry = table_[page];
      require(entry.pages > 0 && page + entry.pages <= end(), "a run leaves the region");
      const bool is_free = entry.state == kFree;
      require(!(is_free && was_free), "two free runs touch");
      if (is_free) {
        require(table_[page + entry.pages - 1].pages == entry.pages, "a free run's last page does not know its length");
        ++runs;
      } else {
        used += entry.pages;
      }
      was_free = is_free;
    }
    require(used == used_pages_, "the count of used pages is wrong");
    require(runs == free_runs_, "the count of free runs is wrong");
    std::size_t listed = 0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      require((heads_[bin] == kNone) == ((occupied_[bin / 64] >> bin % 64 & 1) == 0),
              "a bin's bit does not tell whether it is empty");
      for (std::uint32_t run = heads_[bin]; run != kNone; run = table_[run].next, ++listed)
        require(table_[run].state == kFree && bin_of(table_[run].pages) == bin, "a bin holds a run that is not of it");
    }
    require(listed == runs, "the bins do not hold every free run");
  }

 private:
  enum State : std::uint32_t { kUsed = 0, kFree = 1 };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::size_t kExact = 64;
  static constexpr unsigned kLog2Exact = 6;
  static constexpr unsigned kLog2Spacing = 3;
  static constexpr std::size_t kBins = kExact + ((32 - kLog2Exact) << kLog2Spacing);  // lengths below 2^32

  // The entry of a run's first page. The entry of a free run's last page has only `pages` and `state`.
  struct Entry {
    std::uint32_t pages;
    State state;
    std::uint32_t next;  // in a used run: its tag, in every page
    std::uint32_t previous;
  };

  static std::size_t bin_of(std::size_t pages) noexcept {
    if (pages <= kExact) return pages - 1;
    const unsigned log2 = bits::log2_floor(pages);
    const std::size_t eighth = pages >> (log2 - kLog2Spacing) & ((std::size_t{1} << kLog2Spacing) - 1);
    return kExact + ((log2 - kLog2Exact) << kLog2Spacing) + eighth;
  }
  [[nodiscard]] std::uint32_t end() const noexcept { return static_cast<std::uint32_t>(region_.used() / kPage); }
  [[nodiscard]] std::uint32_t page_of(const void* address) const noexcept {
    return static_cast<std::uint32_t>(
        static_cast<std::size_t>(static_cast<const std::byte*>(address) - region_.base()) / kPage);
  }

  // Number of pages that a run starting at `page` must leave unused to be aligned.
  [[nodiscard]] std::size_t lead(std::uint32_t page, std::size_t alignment) const noexcept {
    if (alignment <= kPage) return 0;
    const auto address = reinterpret_cast<std::uintptr_t>(region_.base()) + std::size_t{page} * kPage;
    return (-address & (alignment - 1)) / kPage;
  }

  [[nodiscard]] std::uint32_t find(std::size_t pages, std::size_t alignment) const noexcept {
    for (std::size_t bin = next_occupied(bin_of(pages)); bin < kBins; bin = next_occupied(bin + 1))
      for (std::uint32_t run = heads_[bin]; run != kNone; run = table_[run].next)
        if (table_[run].pages >= pages + lead(run, alignment)) return run;
    return kNone;
  }
  [[nodiscard]] std::size_t next_occupied(std::size_t bin) const noexcept {
    while (bin < kBins) {
      const std::uint64_t rest = occupied_[bin / 64] >> bin % 64;
      if (rest != 0) return bin + static_cast<std::size_t>(std::countr_zero(rest));
      bin = (bin / 64 + 1) * 64;
    }
    return kBins;
  }

  void* take(std::uint32_t run, std::size_t pages, std::size_t alignment) noexcept {
    const auto before = static_cast<std::uint32_t>(lead(run, alignment));
    const auto after = static_cast<std::uint32_t>(table_[run].pages - before - pages);
    unlink(run);
    if (before > 0) link(run, before);
    const std::uint32_t first = run + before;
    if (after > 0) link(first + static_cast<std::uint32_t>(pages), after);
    return use(first, pages);
  }

  void* grow(std::size_t pages, std::size_t alignment) noexcept {
    // A free run at the end of the region becomes the front of the new run.
    std::uint32_t first = end();
    if (first > 0 && table_[first - 1].state == kFree) first -= table_[first - 1].pages;
    const std::size_t before = lead(first, alignment);
    const std::size_t need = before + pages - (end() - first);
    if (need > region_.capacity() / kPage || region_.grow(need * kPage) == nullptr) return nullptr;
    // The end has moved. The pages that were free there are linked again, or used.
    const std::size_t old_free = end() - need - first;
    if (old_free > 0) unlink(first);
    if (before > 0) link(first, static_cast<std::uint32_t>(before));
    return use(first + static_cast<std::uint32_t>(before), pages);
  }

  void* use(std::uint32_t first, std::size_t pages) noexcept {
    use_all(first, pages);
    used_pages_ += pages;
    return region_.base() + std::size_t{first} * kPage;
  }
  void use_all(std::uint32_t first, std::size_t pages) noexcept {
    const auto count = static_cast<std::uint32_t>(pages);
    table_[first] = {count, kUsed, kNone, kNone};
    table_[first + count - 1].state = kUsed;
  }

  void link(std::uint32_t first, std::uint32_t pages) noexcept {
    const std::size_t bin = bin_of(pages);
    table_[first + pages - 1] = {pages, kFree, kNone, kNone};
    table_[first] = {pages, kFree, heads_[bin], kNone};
    if (heads_[bin] != kNone) table_[heads_[bin]].previous = first;
    heads_[bin] = first;
    occupied_[bin / 64] |= std::uint64_t{1} << bin % 64;
    ++free_runs_;
  }
  void unlink(std::uint32_t first) noexcept {
    const Entry& entry = table_[first];
    const std::size_t bin = bin_of(entry.pages);
    if (entry.next != kNone) table_[entry.next].previous = entry.previous;
    if (entry.previous != kNone) {
      table_[entry.previous].next = entry.next;
    } else {
      heads_[bin] = entry.next;
      if (entry.next == kNone) occupied_[bin / 64] &= ~(std::uint64_t{1} << bin % 64);
    }
    --free_runs_;
  }

  Region& region_;
  Entry* table_ = nullptr;
  std::size_t table_bytes_;
  std::array<std::uint32_t, kBins> heads_{};
  std::array<std::uint64_t, (kBins + 63) / 64> occupied_{};
  std::size_t used_pages_ = 0;
  std::size_t free_runs_ = 0;
};

}  // namespace memtool
