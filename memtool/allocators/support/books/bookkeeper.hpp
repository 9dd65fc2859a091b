// The common part of adaptors that keep a book of the live blocks.
#pragma once

#include <algorithm>
#include <memory>

#include "allocators/support/books/block_book.hpp"

namespace memtool {

// Scopes, and the operations of adaptors that leave the address and size of a block unchanged. Adaptors that add
// something to a block override them.
class Bookkeeper : public Layer {
 public:
  Bookkeeper(std::unique_ptr<AnyHeap> below, Findings& findings) : Layer(std::move(below)), book_(findings) {}

  void* allocate(std::size_t size, std::size_t alignment) override {
    return entered(below().allocate(size, alignment), size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    return entered(below().allocate_zeroed(size, alignment), size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    if (book_.claim(block, size, alignment, "free") == nullptr) return;
    book_.leave(block);
    below().deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    if (book_.claim(block, old_size, alignment, "reallocation") == nullptr) return nullptr;
    void* moved = below().reallocate(block, old_size, new_size, alignment);
    if (moved != nullptr) book_.resize(block, moved, new_size);
    return moved;
  }
  bool mark() override {
    if (!below().mark()) return false;
    book_.mark();
    return true;
  }
  bool release() override {
    if (!below().scoped()) return false;
    book_.release([this](void* block, const BlockBook::Entry& entry) { ended(block, entry); });
    return below().release();
  }
  [[nodiscard]] bool knows_requests() const override { return true; }
  [[nodiscard]] Request request_of(const void* block) const override {
    const auto entry = book_.live().find(const_cast<void*>(block));
    return entry == book_.live().end() ? Request{} : Request{entry->second.size, entry->second.alignment};
  }
  [[nodiscard]] HeapStats stats() const override { return book_.with_book(below().stats()); }

 protected:
  // Called for a live block at the end of its scope, before the heap below frees it.
  virtual void ended(void*, const BlockBook::Entry&) {}

  [[nodiscard]] BlockBook& book() noexcept { return book_; }
  [[nodiscard]] const BlockBook& book() const noexcept { return book_; }

  // Returns the block. If there is no memory for its entry, frees the block and returns nullptr.
  void* entered(void* block, std::size_t size, std::size_t alignment) {
    if (block == nullptr || book_.enter(block, size, alignment)) return block;
    below().deallocate(block, size, alignment);
    return nullptr;
  }

 private:
  BlockBook book_;
};

// The common part of adaptors that surround a block with a pattern, and so leave it usable only for the requested
// bytes.
class Surrounds : public Bookkeeper {
 public:
  using Bookkeeper::Bookkeeper;

  [[nodiscard]] std::size_t usable_size(const void*, std::size_t size) const override { return size; }
  [[nodiscard]] HeapStats stats() const override {
    HeapStats stats = below().stats();
    if (stats.granted != kNotApplicable) {
      if (stats.metadata_bytes != kNotApplicable) stats.metadata_bytes += stats.granted - book().live_bytes();
      stats.granted = book().live_bytes();
    }
    return book().with_book(stats);
  }
  void check() const override {
    for (const auto& [block, entry] : book().live()) verify(block, entry);
    below().check();
  }

 protected:
  virtual void verify(const void* block, const BlockBook::Entry& entry) const = 0;

  // Verifies the pattern in so many bytes before the block and behind it.
  void verify_around(const void* block, const BlockBook::Entry& entry, std::size_t before, std::size_t behind) const {
    const auto* begin = static_cast<const std::byte*>(block);
    const auto add = [&](const char* what, std::size_t bytes) {
      book().findings().add(worded("%s of %s by %s, found at operation %llu", what,
                                   BlockBook::describe(block, entry).c_str(), in_bytes(bytes).c_str(),
                                   static_cast<unsigned long long>(book().findings().operation())));
    };
    if (const auto damage = Pattern::damage(begin + entry.size, behind, Pattern::kAfter))
      add("overrun", damage.last + 1);
    if (const auto damage = Pattern::damage(begin - before, before, Pattern::kBefore))
      add("underrun", before - damage.first);
  }
};

}  // namespace memtool
