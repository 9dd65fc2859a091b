#include "engine/recorded/matcher.hpp"

#include <algorithm>
#include <utility>

namespace memtool {

namespace {

constexpr std::size_t kFirstPlaces = 1024;
constexpr unsigned kMostLog2Alignment = 63;

constexpr std::uint64_t mixed(std::uint64_t address) noexcept {
  address ^= address >> 32;
  address *= 0x9e3779b97f4a7c15ULL;
  return address ^ address >> 29;
}

}  // namespace

void MatchedPortion::clear() noexcept {
  events.clear();
  ticks.clear();
  callers.clear();
  resident.clear();
}

AddressMatcher::AddressMatcher() : table_(kFirstPlaces), mask_(kFirstPlaces - 1) {}

void AddressMatcher::append(std::span<const AddressEvent> seen, MatchedPortion& to) {
  for (const AddressEvent& event : seen) take(event, to);
}

void AddressMatcher::take(const AddressEvent& seen, MatchedPortion& to) {
  if (seen.ticks < last_ticks_) ++counts_.reordered;
  last_ticks_ = std::max(last_ticks_, seen.ticks);
  if (seen.thread >= kMostThreads) {
    ++counts_.oversized;
    return;
  }
  counts_.threads = std::max(counts_.threads, std::uint64_t{seen.thread} + 1);
  switch (seen.kind) {
    case Seen::allocate:
    case Seen::allocate_zeroed:
      return allocate(seen, to);
    case Seen::free:
      return free(seen, to);
    case Seen::reallocate_begin: {
      Moving& own = moving(seen.thread);
      own.is_under_way = remove(seen.address, own.block);
      if (!own.is_under_way) ++counts_.unmatched_reallocations;
      return;
    }
    case Seen::reallocate_end:
      return end_reallocation(seen, to);
    case Seen::thread_start:
      if (seen.size < kMostThreads) put(seen, Kind::thread_start, seen.size, 0, to);
      return;
    case Seen::map:
      counts_.mapped_bytes += seen.size;
      counts_.peak_mapped_bytes = std::max(counts_.peak_mapped_bytes, counts_.mapped_bytes);
      return;
    case Seen::unmap:
      counts_.mapped_bytes -= std::min(counts_.mapped_bytes, seen.size);
      return;
    case Seen::refused:
      ++counts_.refused;
      return;
    case Seen::thread_end:
    case Seen::fork:
    case Seen::off:
    case Seen::on:
      return;
  }
}

void AddressMatcher::allocate(const AddressEvent& seen, MatchedPortion& to) {
  if (seen.size > TraceEvent::kSizeMask || seen.log2_alignment > kMostLog2Alignment) {
    ++counts_.oversized;
    return;
  }
  if (Block before; remove(seen.address, before)) {
    ++counts_.implicit_frees;
    put_free(seen, before, kNotCounted, to);
  }
  insert({seen.address, objects_, seen.size, seen.caller, seen.thread, seen.log2_alignment});
  put(seen, seen.kind == Seen::allocate_zeroed ? Kind::allocate_zeroed : Kind::allocate, objects_++, seen.size, to);
  ++counts_.allocations;
  grow_live(seen.size, 1);
}

void AddressMatcher::free(const AddressEvent& seen, MatchedPortion& to) {
  Block block;
  if (!remove(seen.address, block)) {
    ++counts_.unmatched_frees;
    return;
  }
  put_free(seen, block, seen.resident, to);
  ++counts_.frees;
  counts_.freed_by_other_thread += block.thread != seen.thread;
}

void AddressMatcher::end_reallocation(const AddressEvent& seen, MatchedPortion& to) {
  Moving& own = moving(seen.thread);
  if (!std::exchange(own.is_under_way, false)) {
    AddressEvent fresh = seen;
    fresh.kind = Seen::allocate;
    return allocate(fresh, to);
  }
  if (seen.size > TraceEvent::kSizeMask) return drop_reallocation(seen, own.block, to);
  if (Block before; remove(seen.address, before)) {
    ++counts_.implicit_frees;
    put_free(seen, before, kNotCounted, to);
  }
  bytes_ -= own.block.size;
  counts_.live_bytes = bytes_;
  counts_.freed_by_other_thread += own.block.thread != seen.thread;
  insert({seen.address, own.block.object, seen.size, own.block.caller, seen.thread, own.block.log2_alignment});
  put(seen, Kind::reallocate, own.block.object, seen.size, to);
  ++counts_.reallocations;
  grow_live(seen.size, 0);
}

void AddressMatcher::drop_reallocation(const AddressEvent& seen, const Block& block, MatchedPortion& to) {
  ++counts_.oversized;
  if (table_[place_of(block.address)].address == 0) return insert(block);  // it stays as it was
  ++counts_.implicit_frees;  // another thread was given the address meanwhile
  put_free(seen, block, kNotCounted, to);
}

void AddressMatcher::put(const AddressEvent& seen, Kind kind, std::uint64_t object, std::uint64_t size,
                         MatchedPortion& to) const {
  const bool has_size = kind == Kind::allocate || kind == Kind::allocate_zeroed || kind == Kind::reallocate;
  const unsigned alignment = std::max<unsigned>(seen.log2_alignment, word::kDefaultLog2Alignment);
  to.events.push_back(TraceEvent::make(kind, object, size, has_size ? alignment : 0, seen.thread));
  to.ticks.push_back(last_ticks_);
  to.callers.push_back(seen.caller);
  to.resident.push_back(kNotCounted);
}

void AddressMatcher::put_free(const AddressEvent& seen, const Block& block, std::uint64_t resident,
                              MatchedPortion& to) {
  put(seen, Kind::deallocate, block.object, 0, to);
  to.resident.back() = resident;
  bytes_ -= block.size;
  --count_;
  counts_.live_bytes = bytes_;
  counts_.live_objects = count_;
}

void AddressMatcher::grow_live(std::uint64_t bytes, std::uint64_t objects) noexcept {
  bytes_ += bytes;
  count_ += objects;
  counts_.total_bytes += bytes;
  counts_.live_bytes = bytes_;
  counts_.live_objects = count_;
  counts_.peak_live_bytes = std::max(counts_.peak_live_bytes, bytes_);
  counts_.peak_live_objects = std::max(counts_.peak_live_objects, count_);
}

void AddressMatcher::put_live(std::uint64_t ticks, std::vector<AddressEvent>& to) const {
  std::vector<const Block*> blocks;
  blocks.reserve(held_);
  for (const Block& block : table_)
    if (block.address != 0) blocks.push_back(&block);
  std::ranges::sort(blocks, {}, &Block::object);
  to.reserve(to.size() + blocks.size());
  for (const Block* block : blocks)
    to.push_back({.ticks = ticks,
                  .address = block->address,
                  .size = block->size,
                  .caller = block->caller,
                  .kind = Seen::allocate,
                  .log2_alignment = block->log2_alignment});
}

AddressMatcher::Moving& AddressMatcher::moving(std::uint32_t thread) {
  if (moving_.size() <= thread) moving_.resize(thread + std::size_t{1});
  return moving_[thread];
}

std::size_t AddressMatcher::place_of(std::uint64_t address) const noexcept {
  std::size_t place = mixed(address) & mask_;
  while (table_[place].address != 0 && table_[place].address != address) place = (place + 1) & mask_;
  return place;
}

bool AddressMatcher::remove(std::uint64_t address, Block& block) noexcept {
  std::size_t hole = place_of(address);
  if (table_[hole].address == 0) return false;
  block = table_[hole];
  for (std::size_t place = (hole + 1) & mask_; table_[place].address != 0; place = (place + 1) & mask_) {
    // An entry that may not lie before its home slot stays; any other entry moves into the hole.
    const std::size_t home = mixed(table_[place].address) & mask_;
    if (((place - home) & mask_) < ((place - hole) & mask_)) continue;
    table_[hole] = table_[place];
    hole = place;
  }
  table_[hole].address = 0;
  --held_;
  return true;
}

void AddressMatcher::insert(const Block& block) {
  if (4 * (held_ + 1) > 3 * table_.size()) rehash();
  table_[place_of(block.address)] = block;
  ++held_;
}

void AddressMatcher::rehash() {
  std::vector<Block> before(2 * table_.size());
  before.swap(table_);
  mask_ = table_.size() - 1;
  for (const Block& block : before) {
    if (block.address != 0) table_[place_of(block.address)] = block;
  }
}

}  // namespace memtool
