// A mutex around a heap.
#pragma once

#include <mutex>

#include "allocators/concept/adaptor.hpp"

namespace memtool {

class Lock final : public Layer {
 public:
  static constexpr AdaptorInfo info{
      .name = "lock",
      .summary = "One mutex around every operation makes any strategy thread-safe.",
      .source = "POSIX, pthread_mutex_lock; Wilson, Johnstone, Neely, Boles: Dynamic storage allocation, 1995, 3.10",
      .cost =
          "one lock and one unlock for each operation (without atomic operations in glibc if the process has one "
          "thread)",
      .when = "few threads; the baseline that a thread-caching allocator has to beat",
      .threads = Threads::any,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings&) {
    return std::make_unique<Lock>(std::move(below));
  }

  using Layer::Layer;

  void* allocate(std::size_t size, std::size_t alignment) override {
    const std::scoped_lock held(mutex_);
    return below().allocate(size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    const std::scoped_lock held(mutex_);
    return below().allocate_zeroed(size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    const std::scoped_lock held(mutex_);
    below().deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    const std::scoped_lock held(mutex_);
    return below().reallocate(block, old_size, new_size, alignment);
  }
  bool mark() override {
    const std::scoped_lock held(mutex_);
    return below().mark();
  }
  bool release() override {
    const std::scoped_lock held(mutex_);
    return below().release();
  }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const override {
    const std::scoped_lock held(mutex_);
    return below().usable_size(block, size);
  }
  [[nodiscard]] Request request_of(const void* block) const override {
    const std::scoped_lock held(mutex_);
    return below().request_of(block);
  }
  [[nodiscard]] HeapStats stats() const override {
    const std::scoped_lock held(mutex_);
    return below().stats();
  }
  void walk(const BlockVisitor& visit) const override {
    const std::scoped_lock held(mutex_);
    below().walk(visit);
  }
  void check() const override {
    const std::scoped_lock held(mutex_);
    below().check();
  }
  void report(std::string& json) const override {
    const std::scoped_lock held(mutex_);
    below().report(json);
  }

 private:
  mutable std::mutex mutex_;
};

}  // namespace memtool
