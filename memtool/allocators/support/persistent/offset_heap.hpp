// A heap in a mapping that outlives the process. Every completed operation is visible when another process maps the
// same file. An operation that was interrupted by a kill is undone or completed.
//
// Durable against the end of the process, at once: allocate, deallocate, allocate_into, deallocate_from. Durable
// against the end of the machine: the state when flush() returned, provided that nothing has changed since, because the
// kernel writes pages back in any order. Opening the heap and check() report any damage.
#pragma once

#include <sys/mman.h>

#include <cstring>

#include "allocators/support/persistent/heap_check.hpp"
#include "allocators/support/persistent/runs.hpp"

namespace memtool::persistent {

// What opening a heap found and repaired.
struct Recovery {
  bool was_new = false;
  bool was_clean = false;  // its last process closed it
  bool undone = false;     // an allocation into a slot had not reached the slot
  bool completed = false;  // an allocation had reached its slot, or a deallocation from a slot was interrupted
  bool recounted = false;  // lists or counts did not match the blocks
};

template <class Store = Stores>
class OffsetHeap : protected Runs<Store> {
  using Base = Runs<Store>;
  using Base::base, Base::head, Base::chunk, Base::state, Base::behind, Base::set;

 public:
  // Opens the heap in the region. Creates one if the region holds none or if `is_new`. Throws BrokenInvariant if the
  // heap is damaged.
  OffsetHeap(Region& region, bool is_new) : Base(region) {
    if (region.capacity() < kChunk) return;
    if (is_new || head().magic == 0) {
      make();
    } else {
      open();
    }
  }
  // For a heap that several processes have open and another process created. Nothing is recovered.
  struct Joined {};
  OffsetHeap(Region& region, Joined) : Base(region) {
    require_heap(region);
    follow();
    is_there_ = true;
  }

  void close() noexcept {
    if (is_there_) set(head().is_open, 0);
  }
  // Returns false and sets errno on failure.
  [[nodiscard]] bool flush() const noexcept { return msync(base(), head().end, MS_SYNC) == 0; }
  [[nodiscard]] bool is_there() const noexcept { return is_there_; }  // false: the region has no room for a heap
  [[nodiscard]] const Recovery& recovery() const noexcept { return recovery_; }
  [[nodiscard]] pthread_mutex_t& lock() const noexcept { return head().lock; }
  // Extends the region's used part if another process has taken more.
  void follow() noexcept {
    if (head().end > this->region_.used()) static_cast<void>(this->region_.grow(head().end - this->region_.used()));
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    const Place place = find_place(size, alignment);
    if (place.block == 0) return nullptr;
    commit(place);
    return base() + place.block;
  }
  void deallocate(void* block) noexcept { release(offset_of(block)); }

  // Allocates a block and stores it in `slot` in one step. The slot must be 0 and lie in the heap, or be the root.
  // Returns 0 if there is no room.
  Offset allocate_into(Offset& slot, std::size_t size, std::size_t alignment) noexcept {
    const Place place = find_place(size, alignment);
    if (place.block == 0) return 0;
    intend(Intent::allocate, slot, place.block);
    commit(place);
    set(slot, place.block);
    set(head().intent, static_cast<std::uint64_t>(Intent::none));
    return place.block;
  }
  void deallocate_from(Offset& slot) noexcept {
    const Offset block = slot;
    intend(Intent::deallocate, slot, block);
    set(slot, 0);
    release(block);
    set(head().intent, static_cast<std::uint64_t>(Intent::none));
  }

  [[nodiscard]] void* at(Offset offset) const noexcept { return offset == 0 ? nullptr : base() + offset; }
  [[nodiscard]] Offset offset_of(const void* block) const noexcept {
    return static_cast<Offset>(static_cast<const std::byte*>(block) - base());
  }
  // The entry point from which a program finds its data in the heap: a block, or 0.
  [[nodiscard]] Offset& root() const noexcept { return head().root; }

  [[nodiscard]] std::size_t usable_size(const void* block) const noexcept {
    const Offset run = run_of(offset_of(block));
    return state(run).kind() == Kind::slab ? size_of_class(state(run).size_class())
                                           : state(run).chunks() * kChunk - chunk(run).data;
  }
  [[nodiscard]] HeapStats stats() const noexcept { return is_there_ ? stats_of(base()) : HeapStats{0, 0, 0, 0, 0, 0}; }
  void walk(const BlockVisitor& visit) const {
    if (is_there_) walk_heap(base(), visit);
  }
  // Throws BrokenInvariant.
  void check() const {
    if (is_there_) check_heap(this->region_);
  }

  // Undoes or completes an interrupted operation, and rebuilds the derived data. Throws BrokenInvariant.
  void recover() {
    require_heap(this->region_);
    follow();
    require_runs(base());
    const Head before = head();
    settle_intent();
    rebuild();
    recovery_.recounted = before.live_blocks != head().live_blocks || before.live_bytes != head().live_bytes ||
                          before.free_runs != head().free_runs ||
                          !std::equal(before.partial, before.partial + kClasses, head().partial);
  }

 private:
  struct Place {
    Offset block = 0;
    Offset run = 0;
    std::uint64_t word = 0;  // index of the bitmap word, and `bits` its new value; both 0 for a large block
    std::uint64_t bits = 0;
  };

  static Offset run_of(Offset block) noexcept { return block & ~(kChunk - 1); }

  void make() {
    if (this->region_.grow(kChunk) == nullptr) return;
    set(head().magic, 0);
    Head initial{};
    initial.capacity = this->region_.capacity();
    initial.end = kChunk;
    initial.is_open = 1;
    std::memcpy(&head(), &initial, sizeof initial);
    pthread_mutexattr_t shared;
    pthread_mutexattr_init(&shared);
    pthread_mutexattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&shared, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&head().lock, &shared);
    pthread_mutexattr_destroy(&shared);
    set(head().magic, kMagic);
    recovery_.was_new = is_there_ = true;
  }
  void open() {
    require_heap(this->region_);
    follow();
    recovery_.was_clean = head().is_open == 0;
    if (recovery_.was_clean) {
      check_heap(this->region_);
    } else {
      recover();
    }
    set(head().is_open, 1);
    is_there_ = true;
  }

  // Returns where a block of this size goes. It has no owner yet.
  Place find_place(std::size_t size, std::size_t alignment) noexcept {
    if (!is_there_ || alignment > kLargestAlignment || size >= this->region_.capacity()) return {};
    size = std::max<std::size_t>(size, 1);
    unsigned index = size <= kLargestSmall ? class_of_size(size) : kClasses;
    while (index < kClasses && alignment_of_class(index) < alignment) ++index;
    if (index < kClasses) return place_in_slab(index);
    const std::uint64_t data = std::max<std::uint64_t>(kHeadOfChunk, alignment);
    const Offset run = this->reserve((data + size + kChunk - 1) / kChunk);
    if (run == 0) return {};
    set(chunk(run).data, data);
    return {run + data, run};
  }
  Place place_in_slab(unsigned index) noexcept {
    const Offset run = head().partial[index] != 0 ? head().partial[index] : new_slab(index);
    if (run == 0) return {};
    ChunkHead& slab = chunk(run);
    std::uint64_t word = slab.hint;
    while (~slab.bitmap()[word] == 0) ++word;
    const auto bit = static_cast<unsigned>(std::countr_one(slab.bitmap()[word]));
    return {run + data_of_class(index) + (word * 64 + bit) * size_of_class(index), run, word,
            slab.bitmap()[word] | std::uint64_t{1} << bit};
  }
  Offset new_slab(unsigned index) noexcept {
    const Offset run = this->reserve(1);
    if (run == 0) return 0;
    ChunkHead& slab = chunk(run);
    for (std::uint64_t word = 0; word < words_of_class(index); ++word) set(slab.bitmap()[word], 0);
    set(slab.used, 0);
    set(slab.hint, 0);
    this->set_state(run, Kind::slab, index, 1);
    this->push(head().partial[index], run);
    return run;
  }

  void commit(const Place& place) noexcept {
    ChunkHead& run = chunk(place.run);
    if (place.bits == 0) {
      this->set_state(place.run, Kind::large, 0, state(place.run).chunks());
    } else {
      const unsigned index = state(place.run).size_class();
      set(run.bitmap()[place.word], place.bits);
      set(run.hint, place.word);
      set(run.used, run.used + 1);
      if (run.used == blocks_of_class(index)) this->unlink(head().partial[index], place.run);
    }
    count(1, usable_size(base() + place.block));
  }
  void release(Offset block) noexcept {
    const Offset at = run_of(block);
    ChunkHead& run = chunk(at);
    const std::size_t bytes = usable_size(base() + block);
    if (state(at).kind() == Kind::large) {
      this->give_back(at);
    } else {
      const unsigned index = state(at).size_class();
      const std::uint64_t number = clear_bit(block);
      const bool was_full = run.used == blocks_of_class(index);
      set(run.used, run.used - 1);
      set(run.hint, std::min(run.hint, number / 64));
      if (was_full) this->push(head().partial[index], at);
      if (run.used == 0 && (run.next != 0 || run.before != 0)) {
        this->unlink(head().partial[index], at);
        this->give_back(at);
      }
    }
    count(std::uint64_t{0} - 1, std::uint64_t{0} - bytes);
  }
  std::uint64_t clear_bit(Offset block) noexcept {
    const Offset at = run_of(block);
    const unsigned index = state(at).size_class();
    const std::uint64_t number = (block - at - data_of_class(index)) / size_of_class(index);
    std::uint64_t& word = chunk(at).bitmap()[number / 64];
    set(word, word & ~(std::uint64_t{1} << number % 64));
    return number;
  }
  void count(std::uint64_t blocks, std::uint64_t bytes) noexcept {
    set(head().live_blocks, head().live_blocks + blocks);
    set(head().live_bytes, head().live_bytes + bytes);
  }

  void intend(Intent intent, Offset& slot, Offset block) noexcept {
    set(head().intent_slot, offset_of(&slot));
    set(head().intent_block, block);
    set(head().intent, static_cast<std::uint64_t>(intent));
  }
  // Lists and counts cannot be trusted here. They are rebuilt afterwards.
  void settle_intent() {
    const auto intent = static_cast<Intent>(head().intent);
    if (intent == Intent::none) return;
    const Offset at = head().intent_slot, block = head().intent_block;
    require(intent == Intent::allocate || intent == Intent::deallocate, "an intent is neither of those that there are");
    require(at == offsetof(Head, root) || (at >= kChunk && at < head().end && at % sizeof(Offset) == 0),
            "the slot of an intent is not in the heap");
    require(block >= kChunk && block < head().end, "the block of an intent is not in the heap");
    auto& slot = *reinterpret_cast<Offset*>(base() + at);
    if (intent == Intent::allocate && slot == block) {
      recovery_.completed = true;
    } else {
      (intent == Intent::allocate ? recovery_.undone : recovery_.completed) = true;
      if (intent == Intent::deallocate) set(slot, 0);
      if (is_live(base(), block)) {
        if (state(run_of(block)).kind() == Kind::slab) {
          clear_bit(block);
        } else {
          this->set_state(run_of(block), Kind::free, 0, state(run_of(block)).chunks());
        }
      }
    }
    set(head().intent, static_cast<std::uint64_t>(Intent::none));
  }
  void rebuild() noexcept {
    this->merge_all();
    for (Offset& first : head().partial) set(first, 0);
    set(head().live_blocks, 0);
    set(head().live_bytes, 0);
    for (Offset at = kChunk; at < head().end; at = behind(at)) {
      if (state(at).kind() == Kind::large) count(1, state(at).chunks() * kChunk - chunk(at).data);
      if (state(at).kind() != Kind::slab) continue;
      const unsigned index = state(at).size_class();
      set(chunk(at).used, blocks_in_use(chunk(at), index));
      set(chunk(at).hint, 0);
      count(chunk(at).used, chunk(at).used * size_of_class(index));
      if (chunk(at).used < blocks_of_class(index)) this->push(head().partial[index], at);
    }
  }

  Recovery recovery_;
  bool is_there_ = false;
};

}  // namespace memtool::persistent
