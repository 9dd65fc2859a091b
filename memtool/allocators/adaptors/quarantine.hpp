// Delays the reuse of freed blocks, so that a write to one of them is detected.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "allocators/support/books/bookkeeper.hpp"

namespace memtool {

class Quarantine final : public Bookkeeper {
 public:
  static constexpr std::array<ParameterInfo, 1> kParameters{{
      {.name = "bytes",
       .summary = "bytes of freed blocks that it keeps; the oldest are released first",
       .default_value = 1 << 20,
       .minimum = 1,
       .maximum = std::uint64_t{1} << 40},
  }};
  static constexpr AdaptorInfo info{
      .name = "quarantine",
      .summary =
          "Delays the free of each block and fills it with a pattern, to find writes after a free, double frees and "
          "foreign pointers.",
      .source =
          "Serebryany, Bruening, Potapenko, Vyukov: AddressSanitizer: a fast address sanity checker, USENIX ATC "
          "2012",
      .cost =
          "a fill and a verification of each freed block, a hash table entry for each block, and the delayed memory",
      .when = "finding uses after a free; the effect of delayed frees on a heap",
      .parameters = kParameters,
      .keeps_books = true,
      .delays_frees = true,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters& parameters,
                                       Findings& findings) {
    return std::make_unique<Quarantine>(std::move(below), parameters["bytes"], findings);
  }

  Quarantine(std::unique_ptr<AnyHeap> below, std::size_t most, Findings& findings)
      : Bookkeeper(std::move(below), findings), most_(most) {}
  // A heap on malloc would leak the blocks in quarantine, so they are freed here. A heap on a region ends with the
  // region, and may be damaged.
  ~Quarantine() override {
    if (!below().uses_region()) flush();
  }
  Quarantine(const Quarantine&) = delete;
  Quarantine& operator=(const Quarantine&) = delete;

  void* allocate(std::size_t size, std::size_t alignment) override {
    return entered(with_room([&] { return below().allocate(size, alignment); }), size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    return entered(with_room([&] { return below().allocate_zeroed(size, alignment); }), size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    const BlockBook::Entry* entry = book().claim(block, size, alignment, "free");
    if (entry != nullptr) hold(block, *entry);
  }
  // Always copies, because a stale pointer to the old block must not find it live.
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    const BlockBook::Entry* entry = book().claim(block, old_size, alignment, "reallocation");
    if (entry == nullptr) return nullptr;
    void* fresh = allocate(new_size, alignment);
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, std::min(old_size, new_size));
    touch_grown(touch_, fresh, old_size, new_size);
    hold(block, *entry);
    return fresh;
  }
  void write_when_moved(Touch touch, std::size_t) override { touch_ = touch; }
  bool release() override {
    if (!below().scoped()) return false;
    // The end of a scope frees every block that was allocated in it, including those in quarantine.
    std::erase_if(held_, [this](const Held& held) {
      if (held.entry.depth != depth_) return false;
      verify(held);
      held_bytes_ -= held.entry.size;
      return true;
    });
    --depth_;
    return Bookkeeper::release();
  }
  bool mark() override {
    if (!Bookkeeper::mark()) return false;
    ++depth_;
    return true;
  }
  // Blocks in quarantine are neither granted to the program nor reusable.
  [[nodiscard]] HeapStats stats() const override {
    HeapStats stats = Bookkeeper::stats();
    for (const Held& held : held_) {
      if (stats.granted != kNotApplicable) stats.granted -= below().usable_size(held.block, held.entry.size);
      if (stats.used_blocks != kNotApplicable) --stats.used_blocks;
    }
    return stats;
  }
  void check() const override {
    for (const Held& held : held_) verify(held);
    below().check();
  }

 private:
  struct Held {
    void* block;
    BlockBook::Entry entry;
    std::uint64_t freed;  // number of the operation that freed the block
  };

  template <class Allocate>
  void* with_room(Allocate allocate) {
    void* block = allocate();
    if (block != nullptr || held_.empty()) return block;
    flush();
    return allocate();
  }

  void hold(void* block, const BlockBook::Entry& entry) {
    const Held held{block, entry, book().findings().operation()};
    book().leave(block);
    std::memset(block, Pattern::kFreed, held.entry.size);
    try {
      held_.push_back(held);
    } catch (const std::bad_alloc&) {
      below().deallocate(block, held.entry.size, held.entry.alignment);
      return;
    }
    held_bytes_ += held.entry.size;
    while (held_bytes_ > most_) let_go();
  }
  void let_go() {
    const Held oldest = held_.front();
    held_.pop_front();
    held_bytes_ -= oldest.entry.size;
    verify(oldest);
    below().deallocate(oldest.block, oldest.entry.size, oldest.entry.alignment);
  }
  void flush() {
    while (!held_.empty()) let_go();
  }
  void verify(const Held& held) const {
    const auto damage = Pattern::damage(held.block, held.entry.size, Pattern::kFreed);
    if (!damage) return;
    book().findings().add(worded("use after free: byte %zu of %s, freed at operation %llu, was written to after that",
                                 damage.first, BlockBook::describe(held.block, held.entry).c_str(),
                                 static_cast<unsigned long long>(held.freed)));
  }

  std::size_t most_;
  std::size_t held_bytes_ = 0;
  std::size_t depth_ = 0;
  std::pmr::deque<Held> held_{book().memory()};
  Touch touch_ = Touch::none;
};

}  // namespace memtool
