// What the adaptors have in common that keep a book of the live blocks.
#pragma once

#include <algorithm>
#include <memory>

#include "allocators/support/books/block_book.hpp"

namespace memtool {

// Scopes, and the operations as they are where a block keeps its address and its size on the way down. Adaptors that
// add something to a block override them.
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
  // A live block that its scope takes with it, before what is below takes it back.
  virtual void ended(void*, const BlockBook::Entry&) {}

  [[nodiscard]] BlockBook& book() noexcept { return book_; }
  [[nodiscard]] const BlockBook& book() const noexcept { return book_; }

  // The block, or nullptr where there is no memory for its entry: then it has gone back.
  void* entered(void* block, std::size_t size, std::size_t alignment) {
    if (block == nullptr || book_.enter(block, size, alignment)) return block;
    below().deallocate(block, size, alignment);
    return nullptr;
  }

  // The figures of what is below, where the adaptor keeps all of a block but the bytes asked for.
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
