// A non-moving heap: blocks of cells, all of one size within a block, and runs of blocks for large objects. A bitmap of
// marks lies beside it. A block is swept when a cell of its size is requested.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "allocators/concept/region.hpp"
#include "kinds/graph/collectors/header.hpp"
#include "kinds/graph/collectors/zeroed.hpp"

namespace memtool::graph {

// Cell sizes in granules: every size up to 512 bytes, then steps of an eighth, and finally a third and a half of a
// block.
struct CellSizes {
  static constexpr std::size_t kBlock = 4 << 10;
  static constexpr std::size_t kGranulesOfBlock = kBlock / kGranule;
  static constexpr std::size_t kLargestCell = kGranulesOfBlock / 2;
  static constexpr std::size_t kMost = 64;

  constexpr CellSizes() {
    for (std::size_t granules = 1; granules <= 64; granules += granules < 32 ? 1 : 4) add(granules);
    for (std::size_t parts = 3; parts >= 2; --parts) add(kGranulesOfBlock / parts);
    for (std::size_t granules = 0, at = 0; granules <= kLargestCell; ++granules) {
      if (granules > size[at]) ++at;
      of[granules] = static_cast<std::uint8_t>(at);
    }
  }
  constexpr void add(std::size_t granules) { size[count++] = static_cast<std::uint16_t>(granules); }

  std::size_t count = 0;
  std::array<std::uint16_t, kMost> size{};
  std::array<std::uint8_t, kLargestCell + 1> of{};
};
inline constexpr CellSizes kCells;

class BlockHeap {
 public:
  static constexpr std::size_t kBlock = CellSizes::kBlock;

  // Takes blocks from the unused part of the region, at most `limit` bytes.
  BlockHeap(Region& region, std::size_t limit, bool poisons)
      : region_(region),
        base_(region.base() + region.used()),
        most_(std::min(limit, region.capacity() - region.used()) / kBlock),
        poisons_(poisons),
        blocks_(most_ + kReserve),
        marks_((most_ + kReserve) * kWords) {}

  // Returns a cell of this many granules, or nullptr if none is available; refill() may then find one.
  void* take(std::size_t granules) noexcept {
    if (granules > CellSizes::kLargestCell) [[unlikely]]
      return nullptr;
    Cell*& first = free_[kCells.of[granules]];
    Cell* cell = first;
    if (cell != nullptr) first = cell->next;
    return cell;
  }
  // The same from blocks that it sweeps, or from new ones. Returns nullptr if the limit is reached.
  void* refill(std::size_t granules) noexcept {
    if (granules > CellSizes::kLargestCell) return take_large(granules);
    const std::size_t size = kCells.of[granules];
    return refill_size(size) ? take(granules) : nullptr;
  }
  // Frees one cell at once.
  void free(void* cell) noexcept {
    const std::size_t at = block_of(cell);
    Block& block = blocks_[at];
    if (block.state == State::large) return release(at);
    const std::size_t size = block.size;
    auto* freed = static_cast<Cell*>(cell);
    if (poisons_) poison(cell, kCells.size[size] * kGranule);
    if (current_[size] == at + 1) {
      *freed = {0, free_[size]};
      free_[size] = freed;
      return;
    }
    if (block.free_cells++ == 0) push(available_[size], at);
    *freed = {0, block.free};
    block.free = freed;
  }
  // Makes blocks whose cells are all free available for other sizes.
  void release_empty() noexcept {
    for (std::size_t size = 0; size < kCells.count; ++size) {
      lay_down(size);
      std::uint32_t kept = 0;
      while (available_[size] != 0) {
        const std::size_t at = pop(available_[size]);
        blocks_[at].free_cells == cells_of(size) ? release(at) : push(kept, at);
      }
      available_[size] = kept;
    }
  }

  // Marks a cell. A cell that is allocated between two collections is unmarked.
  bool mark(const void* cell) noexcept {
    const std::size_t at = granule_of(cell);
    const std::uint64_t bit = std::uint64_t{1} << at % 64;
    if ((marks_[at / 64] & bit) != 0) return false;
    marks_[at / 64] |= bit;
    return true;
  }
  [[nodiscard]] bool is_marked(const void* cell) const noexcept {
    const std::size_t at = granule_of(cell);
    return (marks_[at / 64] >> at % 64 & 1) != 0;
  }
  void clear_marks() noexcept { std::memset(marks_.data(), 0, top_ * kWords * sizeof(std::uint64_t)); }
  // Frees everything without a mark: whole blocks at once, and cells when their block is swept.
  void keep_marked() noexcept {
    begin_settling();
    while (settle(top_)) {
    }
  }
  // The same in parts. Meanwhile allocation uses settled and new blocks. A block keeps its marks until it is settled,
  // and either full or swept.
  void begin_settling() noexcept {
    unswept_.fill(0);
    available_.fill(0);
    current_.fill(0);
    free_.fill(nullptr);
    sweeping_ = 0;
    settling_ = top_;
    ++round_;
  }
  // Settles this many blocks. Returns false if none is left.
  bool settle(std::size_t blocks) noexcept {
    for (; blocks > 0 && settling_ > 0; --blocks) settle_block(--settling_);
    return settling_ > 0;
  }
  // Sweeps one block that still has to be swept. Returns false if there is none, so that no block has marks.
  bool sweep_one() noexcept {
    for (; sweeping_ < kCells.count; ++sweeping_) {
      if (unswept_[sweeping_] == 0) continue;
      const std::size_t at = pop(unswept_[sweeping_]);
      sweep(at);
      push(available_[sweeping_], at);
      return true;
    }
    sweeping_ = 0;
    return false;
  }

  [[nodiscard]] bool contains(const void* address) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_) < top_ * kBlock;
  }
  // Bytes allocated since the last reset, counted by the block.
  [[nodiscard]] std::size_t given_out() const noexcept { return given_out_; }
  void forget_given_out() noexcept { given_out_ = 0; }
  [[nodiscard]] std::size_t limit() const noexcept { return most_ * kBlock; }
  [[nodiscard]] std::size_t most_bytes() const noexcept { return (most_ + kReserve) * kBlock; }
  // Allows more blocks than the limit, for objects that a collection moves here.
  void allow_more(std::size_t bytes) noexcept { more_ = std::min(bytes / kBlock, kReserve); }
  [[nodiscard]] std::size_t in_use() const noexcept { return (top_ - free_blocks_) * kBlock; }
  // The size of the tables beside the heap.
  [[nodiscard]] std::size_t apart_bytes() const noexcept { return top_ * (sizeof(Block) + kWords * 8); }

  // Visits each cell that holds an object and was not reclaimed.
  template <class Visit>
  void walk(Visit visit) {
    for (std::size_t at = 0; at < top_; ++at) {
      const Block& block = blocks_[at];
      std::byte* first = base_ + at * kBlock;
      if (block.state == State::large) visit(first);
      if (block.state != State::cells) continue;
      const std::size_t bytes = kCells.size[block.size] * kGranule;
      for (std::size_t i = 0; i < cells_of(block.size); ++i) {
        std::byte* cell = first + i * bytes;
        if (block.is_unswept ? is_marked(cell) : word_at(cell) != 0) visit(cell);
      }
    }
  }

 private:
  enum class State : std::uint8_t { free, cells, large, behind };
  struct Cell {
    std::uint64_t header;  // 0
    Cell* next;
  };
  struct Block {
    Cell* free;  // in an available block
    std::uint32_t next;
    std::uint32_t run;  // for a large object: number of blocks
    std::uint16_t free_cells;
    State state;
    std::uint8_t size;
    bool is_unswept;
    std::uint8_t round;  // of the block's settlement or creation
  };
  static constexpr std::size_t kWords = CellSizes::kGranulesOfBlock / 64;
  static constexpr std::size_t kReserve = (std::size_t{1} << 30) / kBlock;

  static std::size_t cells_of(std::size_t size) noexcept { return CellSizes::kGranulesOfBlock / kCells.size[size]; }
  [[nodiscard]] std::size_t offset_of(const void* address) const noexcept {
    return static_cast<std::size_t>(static_cast<const std::byte*>(address) - base_);
  }
  [[nodiscard]] std::size_t block_of(const void* cell) const noexcept { return offset_of(cell) / kBlock; }
  [[nodiscard]] std::size_t granule_of(const void* cell) const noexcept { return offset_of(cell) / kGranule; }
  [[nodiscard]] std::size_t marked_in(std::size_t at) const noexcept {
    int count = 0;
    for (std::size_t i = 0; i < kWords; ++i) count += std::popcount(marks_[at * kWords + i]);
    return static_cast<std::size_t>(count);
  }
  void unmark(std::size_t at) noexcept { std::memset(&marks_[at * kWords], 0, kWords * sizeof(std::uint64_t)); }
  // Lists hold the number of a block plus one; 0 ends a list.
  void push(std::uint32_t& list, std::size_t at) noexcept {
    blocks_[at].next = list;
    list = static_cast<std::uint32_t>(at + 1);
  }
  std::size_t pop(std::uint32_t& list) noexcept {
    const std::size_t at = list - 1;
    list = blocks_[at].next;
    return at;
  }

  bool refill_size(std::size_t size) noexcept {
    if (available_[size] != 0) return make_current(pop(available_[size]), size);
    if (unswept_[size] != 0) {  // it has at least one free cell
      const std::size_t at = pop(unswept_[size]);
      sweep(at);
      return make_current(at, size);
    }
    const std::size_t at = take_run(1);
    if (at == kNoBlock) return false;
    Block& block = blocks_[at];
    block = {nullptr, 0, 1, 0, State::cells, static_cast<std::uint8_t>(size), false, round_};
    const std::size_t bytes = kCells.size[size] * kGranule;
    for (std::size_t i = cells_of(size); i-- > 0;) {
      auto* cell = reinterpret_cast<Cell*>(base_ + at * kBlock + i * bytes);
      *cell = {0, block.free};
      block.free = cell;
    }
    block.free_cells = static_cast<std::uint16_t>(cells_of(size));
    return make_current(at, size);
  }
  bool make_current(std::size_t at, std::size_t size) noexcept {
    Block& block = blocks_[at];
    given_out_ += block.free_cells * kCells.size[size] * kGranule;
    free_[size] = block.free;
    current_[size] = static_cast<std::uint32_t>(at + 1);
    block.free = nullptr;
    block.free_cells = 0;
    return true;
  }
  // Returns the unused cells of the current block of a size to that block.
  void lay_down(std::size_t size) noexcept {
    if (current_[size] == 0) return;
    const std::size_t at = current_[size] - 1;
    Block& block = blocks_[at];
    block.free = free_[size];
    for (const Cell* cell = block.free; cell != nullptr; cell = cell->next) ++block.free_cells;
    if (block.free_cells > 0) push(available_[size], at);
    current_[size] = 0;
    free_[size] = nullptr;
  }
  void settle_block(std::size_t at) noexcept {
    Block& block = blocks_[at];
    if (block.round == round_ || (block.state != State::cells && block.state != State::large)) return;
    const std::size_t marked = marked_in(at);
    if (marked == 0) return release(at);
    block.round = round_;
    block.is_unswept = block.state == State::cells && marked < cells_of(block.size);
    if (!block.is_unswept) return unmark(at);
    push(unswept_[block.size], at);
  }
  void sweep(std::size_t at) noexcept {
    Block& block = blocks_[at];
    const std::size_t granules = kCells.size[block.size];
    const std::uint64_t* marks = &marks_[at * kWords];
    block.free = nullptr;
    block.free_cells = 0;
    block.is_unswept = false;
    for (std::size_t i = cells_of(block.size); i-- > 0;) {
      const std::size_t granule = i * granules;
      if ((marks[granule / 64] >> granule % 64 & 1) != 0) continue;
      auto* cell = reinterpret_cast<Cell*>(base_ + at * kBlock + granule * kGranule);
      if (poisons_) poison(cell, granules * kGranule);
      *cell = {0, block.free};
      block.free = cell;
      ++block.free_cells;
    }
    unmark(at);
  }
  void release(std::size_t at) noexcept {
    const std::size_t run = blocks_[at].run;
    if (poisons_) poison(base_ + at * kBlock, run * kBlock);
    for (std::size_t i = 0; i < run; ++i) blocks_[at + i] = {};
    free_blocks_ += run;
    hint_ = std::min(hint_, at);
  }
  void* take_large(std::size_t granules) noexcept {
    const std::size_t run = (granules * kGranule + kBlock - 1) / kBlock;
    const std::size_t at = take_run(run);
    if (at == kNoBlock) return nullptr;
    given_out_ += run * kBlock;
    blocks_[at] = {nullptr, 0, static_cast<std::uint32_t>(run), 0, State::large, 0, false, round_};
    for (std::size_t i = 1; i < run; ++i) blocks_[at + i].state = State::behind;
    std::byte* first = base_ + at * kBlock;
    word_at(first) = 0;
    return first;
  }
  // Returns the first free run of this many blocks, or new blocks behind the last.
  std::size_t take_run(std::size_t run) noexcept {
    if (run > most_ + more_ || top_ - free_blocks_ > most_ + more_ - run) return kNoBlock;
    std::size_t length = 0;
    std::size_t first_free = top_;
    if (free_blocks_ >= run) {
      for (std::size_t at = hint_; at < top_;) {
        const Block& block = blocks_[at];
        const bool is_free = block.state == State::free;
        if (is_free) first_free = std::min(first_free, at);
        length = is_free ? length + 1 : 0;
        at += is_free ? 1 : block.run;
        if (length == run) {
          // No block is searched twice. Otherwise each block of a full heap would cost a search from the start.
          hint_ = at - run == first_free ? at : first_free;
          return use(at - run, run);
        }
      }
      hint_ = first_free;
    }
    length = 0;  // of the free blocks in front of the end
    if (free_blocks_ > 0)
      while (length < top_ && blocks_[top_ - 1 - length].state == State::free) ++length;
    const std::size_t more = run - length;
    if (top_ + more > most_ + more_ || region_.grow(more * kBlock) == nullptr) return kNoBlock;
    top_ += more;
    free_blocks_ += more;
    return use(top_ - run, run);
  }
  std::size_t use(std::size_t at, std::size_t run) noexcept {
    free_blocks_ -= run;
    return at;
  }

  static constexpr std::size_t kNoBlock = ~std::size_t{0};
  Region& region_;
  std::byte* base_;
  std::size_t most_;  // number of blocks
  std::size_t more_ = 0;
  std::size_t top_ = 0;  // number of blocks that were ever taken
  std::size_t free_blocks_ = 0;
  std::size_t hint_ = 0;  // no block before this one is free
  std::size_t given_out_ = 0;
  std::size_t sweeping_ = 0;
  std::size_t settling_ = 0;  // blocks from here on are settled
  std::uint8_t round_ = 0;
  bool poisons_;
  std::array<Cell*, CellSizes::kMost> free_{};
  std::array<std::uint32_t, CellSizes::kMost> current_{};
  std::array<std::uint32_t, CellSizes::kMost> available_{};
  std::array<std::uint32_t, CellSizes::kMost> unswept_{};
  Zeroed<Block> blocks_;
  Zeroed<std::uint64_t> marks_;
};

}  // namespace memtool::graph
