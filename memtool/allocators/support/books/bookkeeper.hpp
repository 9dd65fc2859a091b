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

  // The figures of the heap below, for an adaptor that leaves a block usable only for the requested bytes.
  [[nodiscard]] HeapStats with_exact_blocks() const {
    HeapStats stats = below().stats();
    if (stats.granted != kNotApplicable) {
      if (stats.metadata_bytes != kNotApplicable) stats.metadata_bytes += stats.granted - book_.live_bytes();
      stats.granted = book_.live_bytes();
    }
    return book_.with_book(stats);
  }

 private:
  BlockBook book_;
};

}  // namespace memtool
