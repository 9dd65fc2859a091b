// Places each block so that it ends, or begins, at an inaccessible page.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "allocators/support/bits.hpp"
#include "allocators/support/books/bookkeeper.hpp"
#include "allocators/support/books/fault_handler.hpp"

namespace memtool {

// In the heap below, a block consists of whole pages. The last page, or the first, is the guard page. The bytes of the
// other pages that do not belong to the program hold a pattern, which is verified when the block is freed. So a write
// is found even where the guard page cannot trap it: in the padding that aligns the block's end, and on the side
// without a guard page.
class Guard final : public Surrounds, private FaultExplainer {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "side",
       .summary =
           "side of the block with the guard page, which traps overruns or underruns; others are found at the free",
       .maximum = 1,
       .choices = "after|before"},
  }};
  static constexpr AdaptorInfo info{
      .name = "guard",
      .summary = "An inaccessible page after each block: an overrun traps where it happens and is reported.",
      .source = "Perens, Electric Fence, 1987",
      .cost = "two system calls for each operation; whole pages, one more page and two mappings for each block",
      .when = "finding the instruction that overruns, even if it only reads; programs with few live blocks",
      .parameters = kParameters,
      .keeps_books = true,
  };
  static Limits limits(const Parameters& parameters, const Limits& below, std::uint64_t alignment) {
    const std::size_t added = parameters["side"] == 1 ? lead(alignment) : kPage;
    if (below.largest_size < added + kPage || below.largest_alignment < kPage)
      throw CannotStand(
          worded("guard needs blocks of %zu bytes aligned to %zu; the heap below serves up to %llu "
                 "bytes aligned to %llu",
                 added + kPage, kPage, static_cast<unsigned long long>(below.largest_size),
                 static_cast<unsigned long long>(below.largest_alignment)));
    Limits limits = below;
    if (below.largest_size != kUnlimited) {
      limits.largest_size = bits::round_down(below.largest_size - added, kPage);
      if (parameters["side"] == 1)
        limits.largest_alignment =
            std::min<std::uint64_t>(below.largest_alignment, std::bit_floor(below.largest_size - kPage));
    }
    limits.most_blocks = std::min<std::uint64_t>(below.most_blocks, most_mappings() / 2);
    return limits;
  }
  static std::uint64_t alignment_below(const Parameters&, std::uint64_t alignment) { return lead(alignment); }
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters& parameters,
                                       Findings& findings) {
    return std::make_unique<Guard>(std::move(below), parameters["side"] == 1, findings);
  }

  Guard(std::unique_ptr<AnyHeap> below, bool before, Findings& findings)
      : Surrounds(std::move(below), findings), before_(before) {}
  // The region is used again, and other callers may get malloc's memory, so all pages become accessible again.
  ~Guard() override {
    for (const auto& [block, entry] : book().live()) open_page(layout(block, entry));
  }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

  void* allocate(std::size_t size, std::size_t alignment) override {
    const std::size_t bytes = whole(size, alignment);
    return guarded(below().allocate(bytes, paged(alignment)), size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    void* block = allocate(size, alignment);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    const BlockBook::Entry* entry = book().claim(block, size, alignment, "free");
    if (entry == nullptr) return;
    const Layout at = layout(block, *entry);
    verify(block, *entry);
    book().leave(block);
    open_page(at);
    below().deallocate(at.begin, at.bytes, paged(alignment));
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    const BlockBook::Entry* entry = book().claim(block, old_size, alignment, "reallocation");
    if (entry == nullptr) return nullptr;
    const BlockBook::Entry old = *entry;
    const Layout at = layout(block, old);
    verify(block, old);
    if (whole(new_size, alignment) < new_size) return nullptr;
    const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(block) - at.begin);
    open_page(at);
    auto* fresh =
        static_cast<std::byte*>(below().reallocate(at.begin, at.bytes, whole(new_size, alignment), paged(alignment)));
    if (fresh == nullptr) {
      (void)close_page(at);
      return nullptr;
    }
    // The old size determined where the contents lie.
    const Layout to = place(fresh, new_size, alignment);
    std::memmove(to.block, fresh + offset, std::min(old_size, new_size));
    fill(to, new_size);
    if (!close_page(to)) add_out_of_mappings();
    book().resize(block, to.block, new_size);
    return to.block;
  }
  void write_when_moved(Touch touch, std::size_t rear) override {
    below().write_when_moved(touch, before_ ? rear : rear + kPage);
  }

 private:
  static constexpr std::size_t kPage = 4096;

  // A block of the heap below: [begin, begin + bytes), of which `guard` is the inaccessible page.
  struct Layout {
    std::byte* begin;
    std::size_t bytes;
    std::byte* guard;
    std::byte* data;  // the accessible pages
    std::byte* data_end;
    std::byte* block;
  };

  // Bytes in front of a block whose guard page comes first: one page, or more if the alignment is larger.
  static constexpr std::size_t lead(std::uint64_t alignment) noexcept {
    return std::max<std::size_t>(static_cast<std::size_t>(alignment), kPage);
  }
  static std::size_t paged(std::size_t alignment) noexcept { return std::max(alignment, kPage); }
  // If the result would exceed the largest possible size, returns `size`, which no heap can serve.
  [[nodiscard]] std::size_t whole(std::size_t size, std::size_t alignment) const noexcept {
    const std::size_t data = bits::round_up(std::max<std::size_t>(size, 1), kPage);
    const std::size_t bytes = data + (before_ ? lead(alignment) : kPage);
    return bytes < size || data < size ? size : bytes;
  }
  [[nodiscard]] Layout place(void* below_block, std::size_t size, std::size_t alignment) const noexcept {
    Layout at{};
    at.begin = static_cast<std::byte*>(below_block);
    at.bytes = whole(size, alignment);
    if (before_) {
      at.data = at.begin + lead(alignment);
      at.guard = at.data - kPage;
      at.data_end = at.begin + at.bytes;
      at.block = at.data;
      return at;
    }
    at.data = at.begin;
    at.guard = at.begin + at.bytes - kPage;
    at.data_end = at.guard;
    // Places the block as near to the guard page as its alignment allows. A small block of the default alignment may
    // lie nearer.
    const std::size_t need = alignment == kDefaultAlignment
                                 ? std::min(kDefaultAlignment, std::bit_floor(std::max<std::size_t>(size, 1)))
                                 : alignment;
    const auto end = reinterpret_cast<std::uintptr_t>(at.guard);
    at.block = at.guard - (end - bits::round_down(end - std::max<std::size_t>(size, 1), need));
    return at;
  }
  [[nodiscard]] Layout layout(const void* block, const BlockBook::Entry& entry) const noexcept {
    auto* at = static_cast<std::byte*>(const_cast<void*>(block));
    if (before_) return place(at - lead(entry.alignment), entry.size, entry.alignment);
    const auto aligned = bits::round_down(reinterpret_cast<std::uintptr_t>(at), kPage);
    // If the alignment exceeds a page, the block begins where its first page begins.
    return place(at - (reinterpret_cast<std::uintptr_t>(at) - aligned), entry.size, entry.alignment);
  }

  [[nodiscard]] static bool close_page(const Layout& at) noexcept { return mprotect(at.guard, kPage, PROT_NONE) == 0; }
  static void open_page(const Layout& at) noexcept { mprotect(at.guard, kPage, PROT_READ | PROT_WRITE); }

  static void fill(const Layout& at, std::size_t size) noexcept {
    std::memset(at.data, Pattern::kBefore, static_cast<std::size_t>(at.block - at.data));
    std::memset(at.block + size, Pattern::kAfter, static_cast<std::size_t>(at.data_end - at.block) - size);
  }

  void* guarded(void* below_block, std::size_t size, std::size_t alignment) {
    if (below_block == nullptr) return nullptr;
    const Layout at = place(below_block, size, alignment);
    const bool closed = close_page(at);
    if (!closed) add_out_of_mappings();
    if (!closed || !book().enter(at.block, size, alignment)) {
      open_page(at);
      below().deallocate(below_block, at.bytes, paged(alignment));
      return nullptr;
    }
    fill(at, size);
    return at.block;
  }
  void add_out_of_mappings() {
    book().findings().add(
        worded("guard: no page can be protected with %zu blocks live: %s (two mappings a block; "
               "vm.max_map_count is %llu)",
               book().live().size(), std::strerror(errno), static_cast<unsigned long long>(most_mappings())));
  }

  void ended(void* block, const BlockBook::Entry& entry) override {
    verify(block, entry);
    open_page(layout(block, entry));
  }

  void verify(const void* block, const BlockBook::Entry& entry) const override {
    const Layout at = layout(block, entry);
    verify_around(block, entry, static_cast<std::size_t>(at.block - at.data),
                  static_cast<std::size_t>(at.data_end - at.block) - entry.size);
  }

  // Runs in the handler of the fault. The program was not inside a call, so the book is consistent and can be read.
  bool explain(const void* address, char* words, std::size_t bytes) const noexcept override {
    const auto* at = static_cast<const std::byte*>(address);
    for (const auto& [block, entry] : book().live()) {
      const Layout guarded = layout(block, entry);
      if (at < guarded.guard || at >= guarded.guard + kPage) continue;
      const auto beyond = before_ ? static_cast<std::size_t>(guarded.block - at)
                                  : static_cast<std::size_t>(at - guarded.block) - entry.size + 1;
      std::snprintf(words, bytes,
                    "%s of the block of %zu byte%s at %p (allocated at operation %llu%s) by %zu byte%s, "
                    "trapped after operation %llu",
                    before_ ? "underrun" : "overrun", entry.size, entry.size == 1 ? "" : "s", block,
                    static_cast<unsigned long long>(entry.operation),
                    CallSite(entry.caller).after(", called from ").c_str(), beyond, beyond == 1 ? "" : "s",
                    static_cast<unsigned long long>(book().findings().operation()));
      return true;
    }
    return false;
  }

  bool before_;
};

}  // namespace memtool
