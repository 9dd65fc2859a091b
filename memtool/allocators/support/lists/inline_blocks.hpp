// Blocks that keep their metadata in the heap itself, as textbooks draw them:
//
//   | size, free? | payload; in a free block: next, previous ....... | size, free? |
//     header                                                           footer
//
// A word has 4 bytes if the header has no room for more, which limits the heap to 2 GiB; otherwise 8. The code assumes
// no alignment, so any layout in bytes works.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/lists/list_layout.hpp"

namespace memtool {

class InlineBlocks {
 public:
  // A block, identified by the offset of its first byte from the region's base.
  using Ref = std::size_t;
  static constexpr Ref kNone = ~Ref{0};
  static constexpr bool kInHeap = true;  // a free block has a header and a footer

  InlineBlocks(std::byte* base, const ListLayout& layout) noexcept
      : base_(base),
        header_(layout.header),
        footer_(layout.footer),
        word_(word_bytes(layout)),
        first_(layout.lead()),
        end_(layout.lead()) {}

  static constexpr std::size_t kLeastField = 4;  // bytes of a header, and of a footer if there is one
  [[nodiscard]] static std::size_t word_bytes(const ListLayout& layout) noexcept {
    return layout.header < 8 || (layout.footer != 0 && layout.footer < 8) ? 4 : 8;
  }
  // The smallest free block that can hold its metadata.
  [[nodiscard]] static std::size_t least_bytes(const ListLayout& layout, bool linked) noexcept {
    return layout.overhead() + (linked ? 2 * word_bytes(layout) : 0);
  }
  [[nodiscard]] std::size_t most_heap_bytes() const noexcept { return std::size_t{1} << (8 * word_ - 1); }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return 0; }

  // Returns the used block whose payload begins there.
  [[nodiscard]] Ref of_payload(std::size_t offset) const noexcept { return offset - header_; }
  [[nodiscard]] std::size_t offset(Ref at) const noexcept { return at; }
  [[nodiscard]] std::size_t bytes(Ref at) const noexcept { return load(at) & ~free_bit(); }
  [[nodiscard]] bool is_free(Ref at) const noexcept { return (load(at) & free_bit()) != 0; }
  void set_free(Ref at, bool free) noexcept { set(at, bytes(at), free); }

  [[nodiscard]] Ref first() const noexcept { return first_ == end_ ? kNone : first_; }
  [[nodiscard]] Ref last() const noexcept { return last_; }
  [[nodiscard]] Ref next_physical(Ref at) const noexcept {
    const Ref next = at + bytes(at);
    return next == end_ ? kNone : next;
  }
  // Without footers the previous block cannot be found from here.
  [[nodiscard]] bool knows_previous() const noexcept { return footer_ != 0; }
  [[nodiscard]] Ref previous_physical(Ref at) const noexcept {
    return at == first_ ? kNone : at - (load(at - footer_) & ~free_bit());
  }

  [[nodiscard]] Ref next(Ref at) const noexcept { return load_link(at + header_); }
  [[nodiscard]] Ref previous(Ref at) const noexcept { return load_link(at + header_ + word_); }
  void set_next(Ref at, Ref to) noexcept { store(at + header_, to); }
  void set_previous(Ref at, Ref to) noexcept { store(at + header_ + word_, to); }

  // Appends a new free block behind the last one.
  Ref append(std::size_t bytes) noexcept {
    const Ref fresh = end_;
    end_ += bytes;
    set(fresh, bytes, true);
    return fresh;
  }
  // Extends the last block, which is free.
  void extend(Ref at, std::size_t more) noexcept {
    end_ += more;
    set(at, bytes(at) + more, true);
  }
  // Cuts a free block in two. The first part keeps `bytes`. Returns the second part, which is also free.
  Ref cut(Ref at, std::size_t bytes) noexcept {
    const std::size_t rest = this->bytes(at) - bytes;
    set(at, bytes, true);
    set(at + bytes, rest, true);
    return at + bytes;
  }
  // Coalesces two free neighbours.
  void join(Ref at, Ref next) noexcept { set(at, bytes(at) + bytes(next), true); }

  void check(Ref at) const {
    require(footer_ == 0 || load(at + bytes(at) - footer_) == load(at), "a block's footer is not what its header says");
  }

 private:
  [[nodiscard]] std::size_t free_bit() const noexcept { return std::size_t{1} << (8 * word_ - 1); }

  [[nodiscard]] std::size_t load(std::size_t offset) const noexcept {
    if (word_ == sizeof(std::uint32_t)) return load_as<std::uint32_t>(offset);
    return load_as<std::uint64_t>(offset);
  }
  // No link is all ones in a word of either width, so all ones stand for kNone.
  [[nodiscard]] Ref load_link(std::size_t offset) const noexcept {
    const std::size_t link = load(offset);
    return link == (kNone >> (64 - 8 * word_)) ? kNone : link;
  }
  template <class Word>
  [[nodiscard]] std::size_t load_as(std::size_t offset) const noexcept {
    Word value;
    std::memcpy(&value, base_ + offset, sizeof value);
    return value;
  }
  void store(std::size_t offset, std::size_t value) noexcept {
    if (word_ == sizeof(std::uint32_t)) {
      const auto narrow = static_cast<std::uint32_t>(value);
      std::memcpy(base_ + offset, &narrow, sizeof narrow);
    } else {
      std::memcpy(base_ + offset, &value, sizeof value);
    }
  }
  void set(Ref at, std::size_t bytes, bool free) noexcept {
    const std::size_t word = bytes | (free ? free_bit() : 0);
    store(at, word);
    if (footer_ != 0) store(at + bytes - footer_, word);
    if (at + bytes == end_) last_ = at;
  }

  std::byte* base_;
  std::size_t header_;
  std::size_t footer_;
  std::size_t word_;  // bytes of a size or of a link
  Ref first_;
  Ref end_;
  Ref last_ = kNone;
};

}  // namespace memtool
