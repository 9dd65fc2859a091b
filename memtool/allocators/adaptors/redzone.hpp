// Puts a pattern before and behind each block.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "allocators/support/bits.hpp"
#include "allocators/support/books/bookkeeper.hpp"

namespace memtool {

class Redzone final : public Surrounds {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "bytes",
       .summary = "bytes of pattern on each side; in front of a block they are rounded up to its alignment",
       .default_value = 32,
       .minimum = 1,
       .maximum = 4096},
  }};
  static constexpr AdaptorInfo info{
      .name = "redzone",
      .summary =
          "Verifies a pattern around each block at its free and in every check, to find overruns, underruns, double "
          "frees and foreign pointers.",
      .source = "Hastings, Joyce: Purify: fast detection of memory leaks and access errors, USENIX Winter 1992",
      .cost = "two small fills, two verifications, a hash table entry and twice the zone's bytes for each block",
      .when = "finding writes just beyond a block; they are reported when the block is freed",
      .parameters = kParameters,
      .keeps_books = true,
  };
  static Limits limits(const Parameters& parameters, const Limits& below, std::uint64_t alignment) {
    const std::size_t zone = parameters["bytes"];
    const std::size_t added = bits::round_up(zone, alignment) + zone;
    if (below.largest_size <= added)
      throw CannotStand(worded("redzone adds %zu bytes to a block; the heap below serves up to %llu bytes", added,
                               static_cast<unsigned long long>(below.largest_size)));
    Limits limits = below;
    if (below.largest_size != kUnlimited) {
      limits.largest_size -= added;
      limits.largest_alignment =
          std::min<std::uint64_t>(below.largest_alignment, std::bit_floor(below.largest_size - zone - 1));
    }
    return limits;
  }
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters& parameters,
                                       Findings& findings) {
    return std::make_unique<Redzone>(std::move(below), parameters["bytes"], findings);
  }

  Redzone(std::unique_ptr<AnyHeap> below, std::size_t zone, Findings& findings)
      : Surrounds(std::move(below), findings), zone_(zone) {}

  void* allocate(std::size_t size, std::size_t alignment) override {
    return fenced(below().allocate(whole(size, alignment), alignment), size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    return fenced(below().allocate_zeroed(whole(size, alignment), alignment), size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    const BlockBook::Entry* entry = book().claim(block, size, alignment, "free");
    if (entry == nullptr) return;
    verify(block, *entry);
    book().leave(block);
    below().deallocate(outer(block, alignment), whole(size, alignment), alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    const BlockBook::Entry* entry = book().claim(block, old_size, alignment, "reallocation");
    if (entry == nullptr) return nullptr;
    verify(block, *entry);
    const std::size_t bytes = whole(new_size, alignment);
    if (bytes < new_size) return nullptr;
    auto* fresh = static_cast<std::byte*>(
        below().reallocate(outer(block, alignment), whole(old_size, alignment), bytes, alignment));
    if (fresh == nullptr) return nullptr;
    std::byte* moved = fresh + front(alignment);
    fill(moved, new_size, alignment);
    book().resize(block, moved, new_size);
    return moved;
  }

 private:
  void ended(void* block, const BlockBook::Entry& entry) override { verify(block, entry); }

  [[nodiscard]] std::size_t front(std::size_t alignment) const noexcept { return bits::round_up(zone_, alignment); }
  // If the result would exceed the largest possible size, returns `size`, which no heap can serve.
  [[nodiscard]] std::size_t whole(std::size_t size, std::size_t alignment) const noexcept {
    const std::size_t bytes = front(alignment) + size + zone_;
    return bytes < size ? size : bytes;
  }
  [[nodiscard]] void* outer(void* block, std::size_t alignment) const noexcept {
    return static_cast<std::byte*>(block) - front(alignment);
  }

  void fill(std::byte* block, std::size_t size, std::size_t alignment) const noexcept {
    std::memset(block - front(alignment), Pattern::kBefore, front(alignment));
    std::memset(block + size, Pattern::kAfter, zone_);
  }
  void* fenced(void* below_block, std::size_t size, std::size_t alignment) {
    if (below_block == nullptr) return nullptr;
    std::byte* block = static_cast<std::byte*>(below_block) + front(alignment);
    if (!book().enter(block, size, alignment)) {
      below().deallocate(below_block, whole(size, alignment), alignment);
      return nullptr;
    }
    fill(block, size, alignment);
    return block;
  }

  void verify(const void* block, const BlockBook::Entry& entry) const override {
    verify_around(block, entry, front(entry.alignment), zone_);
  }

  std::size_t zone_;
};

}  // namespace memtool
