// Blocks of lines. A collection marks the lines of reachable objects, allocation moves a pointer through unmarked
// lines, and reachable objects are moved out of the emptiest blocks during marking.
#pragma once

#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/zeroed.hpp"

namespace memtool::graph {

// The blocks, their lines, and which of them are free.
class LineHeap {
 public:
  static constexpr std::size_t kBlock = 32 << 10;
  static constexpr std::size_t kLine = 128;
  static constexpr std::size_t kLines = kBlock / kLine;
  enum class State : std::uint8_t { free, lines, large, behind };
  struct Block {
    std::uint32_t run;     // number of blocks of a large object
    std::uint16_t marked;  // number of lines marked by the last collection
    State state;
    bool is_left;  // reachable objects are moved out of it
  };
  // Free memory through which the allocation pointer moves.
  struct Hole {
    std::byte* at = nullptr;
    std::byte* end = nullptr;
    [[nodiscard]] bool has(std::size_t bytes) const noexcept { return bytes <= static_cast<std::size_t>(end - at); }
  };

  LineHeap(Region& region, std::size_t limit)
      : region_(region),
        base_(region.base() + region.used()),
        most_(std::min(limit, region.capacity() - region.used()) / kBlock),
        reserve_(std::min<std::size_t>(most_ / 4, std::max<std::size_t>(1, most_ / 40))),
        blocks_(most_ + 1),
        lines_(most_ * kLines + 1),
        bits_(most_ * kBlock / kGranule / 64 + 1) {}

  // The next hole behind this one: in its block, in another block with free lines, or a whole block. If there is none,
  // the result is empty.
  Hole next(const Hole& after) noexcept {
    std::size_t line = after.end == nullptr ? 0 : static_cast<std::size_t>(after.end - base_) / kLine;
    std::size_t end = (line + kLines - 1) / kLines * kLines;
    for (;;) {
      while (line < end && lines_[line] != 0) ++line;
      if (line < end) break;
      if (next_partial_ == partial_.size()) return whole();
      line = partial_[next_partial_++] * kLines;
      end = line + kLines;
    }
    const std::size_t first = line;
    while (line < end && lines_[line] == 0) ++line;
    return note({base_ + first * kLine, base_ + line * kLine});
  }
  // Returns a whole block. Only moves during a collection may use the reserve.
  Hole whole(bool is_moving = false) noexcept {
    const std::size_t at = run(1, is_moving);
    if (at == kNoBlock) return {};
    blocks_[at] = {1, 0, State::lines, false};
    return note({base_ + at * kBlock, base_ + (at + 1) * kBlock});
  }
  std::byte* large(std::size_t bytes) noexcept {
    const std::size_t blocks = (bytes + kBlock - 1) / kBlock;
    const std::size_t at = run(blocks, false);
    if (at == kNoBlock) return nullptr;
    blocks_[at] = {static_cast<std::uint32_t>(blocks), 0, State::large, false};
    for (std::size_t i = 1; i < blocks; ++i) blocks_[at + i].state = State::behind;
    static_cast<void>(note({base_ + at * kBlock, base_ + at * kBlock + bytes}));
    return base_ + at * kBlock;
  }

  // Forgets all marks, and chooses the blocks to evacuate: the emptiest, as long as there is room for their contents.
  void begin() {
    std::memset(&lines_[0], 0, top_ * kLines);
    std::memset(&bits_[0], 0, top_ * kBlock / kGranule / 8);
    std::size_t room = (most_ - std::min(most_, top_ - free_)) * kLines;
    for (std::size_t most = 1; most <= kLines / 4; most *= 2)
      for (std::size_t at = 0; at < top_; ++at) {
        Block& block = blocks_[at];
        if (block.state != State::lines || block.marked == 0 || block.marked > most || block.is_left) continue;
        if (block.marked > room) return;
        room -= block.marked;
        block.is_left = true;
      }
  }
  [[nodiscard]] bool is_left(const void* cell) const noexcept { return blocks_[offset(cell) / kBlock].is_left; }
  bool mark(const std::byte* cell, std::size_t bytes) noexcept {
    const std::size_t at = offset(cell) / kGranule;
    const std::uint64_t bit = std::uint64_t{1} << at % 64;
    if ((bits_[at / 64] & bit) != 0) return false;
    bits_[at / 64] |= bit;
    const std::size_t last = (offset(cell) + bytes - 1) / kLine;
    for (std::size_t line = offset(cell) / kLine; line <= last; ++line) lines_[line] = 1;
    return true;
  }
  [[nodiscard]] bool is_marked(const void* cell) const noexcept {
    const std::size_t at = offset(cell) / kGranule;
    return (bits_[at / 64] >> at % 64 & 1) != 0;
  }
  // Frees everything without a mark.
  void end(bool poisons) {
    partial_.clear();
    next_partial_ = 0;
    fresh_.clear();
    for (std::size_t at = 0; at < top_; ++at) {
      Block& block = blocks_[at];
      block.is_left = false;
      if (block.state == State::large && lines_[at * kLines] == 0) {
        const std::size_t blocks = block.run;
        for (std::size_t i = 0; i < blocks; ++i) release(at + i, poisons);
      }
      if (block.state != State::lines) continue;
      std::size_t marked = 0;
      for (std::size_t line = at * kLines; line < (at + 1) * kLines; ++line) {
        marked += lines_[line];
        if (poisons && lines_[line] == 0) poison(base_ + line * kLine, kLine);
      }
      block.marked = static_cast<std::uint16_t>(marked);
      if (marked == 0) {
        release(at, false);
      } else if (marked < kLines) {
        partial_.push_back(at);
      }
    }
  }

  template <class Visit>
  void walk(std::byte* const* ends, Visit visit) const {
    for (std::size_t word = 0; word < top_ * kBlock / kGranule / 64; ++word)
      for (std::uint64_t rest = bits_[word]; rest != 0; rest &= rest - 1)
        visit(base_ + (word * 64 + static_cast<std::size_t>(std::countr_zero(rest))) * kGranule);
    // Each hole allocated since then is full up to a cell that did not fit, or up to its pointer.
    for (const Hole& hole : fresh_)
      for (std::byte* cell = hole.at; cell != hole.end && cell != ends[0] && cell != ends[1] && word_at(cell) != 0;
           cell += Header(word_at(cell)).bytes())
        visit(cell);
  }
  // Ends the contents of a hole; nothing is allocated behind them.
  static void close(const Hole& hole) noexcept {
    if (hole.at != hole.end) word_at(hole.at) = 0;
  }
  [[nodiscard]] std::size_t given_out() const noexcept { return given_out_; }
  void forget_given_out() noexcept { given_out_ = 0; }
  [[nodiscard]] std::size_t apart_bytes() const noexcept {
    return top_ * (sizeof(Block) + kLines + kBlock / kGranule / 8) + partial_.capacity() * sizeof(std::size_t) +
           fresh_.capacity() * sizeof(Hole);
  }

 private:
  static constexpr std::size_t kNoBlock = ~std::size_t{0};
  [[nodiscard]] std::size_t offset(const void* cell) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(cell) - base_);
  }
  Hole note(Hole hole) {
    given_out_ += static_cast<std::size_t>(hole.end - hole.at);
    fresh_.push_back(hole);
    return hole;
  }
  void release(std::size_t at, bool poisons) noexcept {
    if (poisons) poison(base_ + at * kBlock, kBlock);
    blocks_[at] = {};
    ++free_;
    hint_ = std::min(hint_, at);
  }
  std::size_t run(std::size_t blocks, bool is_moving) noexcept {
    if (top_ - free_ + blocks + (is_moving ? 0 : reserve_) > most_) return kNoBlock;
    std::size_t length = 0;
    if (free_ >= blocks)
      for (std::size_t at = hint_; at < top_; ++at) {
        length = blocks_[at].state == State::free ? length + 1 : 0;
        if (length < blocks) continue;
        free_ -= blocks;
        if (at + 1 - blocks == hint_) hint_ = at + 1;
        return at + 1 - blocks;
      }
    if (top_ + blocks > most_ || region_.grow(blocks * kBlock) == nullptr) return kNoBlock;
    top_ += blocks;
    return top_ - blocks;
  }

  Region& region_;
  std::byte* base_;
  std::size_t most_;     // number of blocks
  std::size_t reserve_;  // the part of these kept for moving
  std::size_t top_ = 0;
  std::size_t free_ = 0;
  std::size_t hint_ = 0;  // no block before this one is free
  std::size_t given_out_ = 0;
  std::vector<std::size_t> partial_;  // blocks with free lines
  std::size_t next_partial_ = 0;
  std::vector<Hole> fresh_;  // allocated since the last collection
  Zeroed<Block> blocks_;
  Zeroed<std::uint8_t> lines_;
  Zeroed<std::uint64_t> bits_;
};

class Immix : public Collector<Immix, 8> {
 public:
  explicit Immix(Surroundings& in)
      : Collector(in), heap_(in.region, in.settings.limit), stack_(in.settings.limit / kGranule) {}

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t) {
    const std::size_t granules = this->granules(body);
    const std::size_t bytes = granules * kGranule;
    std::byte* cell = hole_.at;
    if (!hole_.has(bytes)) [[unlikely]] {
      cell = slowly(bytes);
      if (cell == nullptr) return nullptr;
    } else {
      hole_.at = cell + bytes;
    }
    word_at(cell) = Header::make(granules, references);
    return object(cell);
  }

  void collect() {
    const Pausing pausing(telemetry(), Cause::whole);
    ++telemetry().collections;
    heap_.begin();
    moving_ = {};
    for (std::size_t i = 0; i < in_.roots.count; ++i) follow(in_.roots.first[i]);
    while (count_ > 0) each_field(stack_[--count_], [&](Object*& field) { follow(field); });
    heap_.end(in_.settings.poisons);
    hole_ = wide_ = moving_ = {};
  }
  [[nodiscard]] std::size_t given_out() const noexcept { return heap_.given_out(); }
  void forget_given_out() noexcept { heap_.forget_given_out(); }
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return heap_.apart_bytes() + deepest_ * sizeof(Object*); }
  template <class Visit>
  void walk(Visit visit) {
    std::byte* const ends[] = {hole_.at, wide_.at};
    heap_.walk(ends, [&](std::byte* cell) { visit(object(cell)); });
  }

 private:
  [[gnu::noinline]] std::byte* slowly(std::size_t bytes) {
    if (is_due()) run();
    std::byte* cell = find(bytes);
    if (cell != nullptr) return cell;
    note_forced();
    run();
    return find(bytes);
  }
  std::byte* find(std::size_t bytes) {
    if (bytes > LineHeap::kBlock / 2) return heap_.large(bytes);
    // An object longer than a line does not use up short holes. It goes to a whole block, as long as there is one.
    if (bytes > LineHeap::kLine && hole_.at != hole_.end) {
      if (!wide_.has(bytes)) {
        const LineHeap::Hole whole = heap_.whole();
        if (whole.has(bytes)) {
          LineHeap::close(wide_);
          wide_ = whole;
        }
      }
      if (wide_.has(bytes)) return std::exchange(wide_.at, wide_.at + bytes);
    }
    while (!hole_.has(bytes)) {
      const LineHeap::Hole next = heap_.next(hole_);
      if (next.end == nullptr) return nullptr;
      LineHeap::close(hole_);
      hole_ = next;
    }
    return std::exchange(hole_.at, hole_.at + bytes);
  }

  void follow(Object*& reference) noexcept {
    if (reference == nullptr) return;
    std::byte* cell = this->cell(reference);
    const Header header(word_at(cell));
    if (header.is_moved()) {
      reference = object(header.new_cell());
      return;
    }
    const std::size_t bytes = header.bytes();
    if (heap_.is_left(cell) && !heap_.is_marked(cell)) {
      if (!moving_.has(bytes)) {
        const LineHeap::Hole whole = heap_.whole(true);
        if (whole.has(bytes)) moving_ = whole;
      }
      if (moving_.has(bytes)) {
        std::byte* to = std::exchange(moving_.at, moving_.at + bytes);
        std::memcpy(to, cell, bytes);
        word_at(cell) = Header::moved_to(to);
        telemetry().copied_bytes += bytes;
        reference = object(to);
        cell = to;
      }
    }
    if (!heap_.mark(cell, bytes)) return;
    telemetry().marked_bytes += bytes;
    stack_[count_++] = reference;
    deepest_ = std::max(deepest_, count_);
  }

  LineHeap heap_;
  LineHeap::Hole hole_;
  LineHeap::Hole wide_;
  LineHeap::Hole moving_;
  std::size_t count_ = 0;
  std::size_t deepest_ = 0;
  Zeroed<Object*> stack_;  // for as many objects as there can be
};

}  // namespace memtool::graph
