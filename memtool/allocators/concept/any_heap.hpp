// A strategy on its region behind virtual calls.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/concept/touch.hpp"

namespace memtool {

// The request with which a block was allocated.
struct Request {
  std::size_t size = 0;
  std::size_t alignment = kDefaultAlignment;
};

// The heap below an adaptor, and the interface of tests and of the verification's adversaries, which drive a heap
// operation by operation.
class AnyHeap {
 public:
  virtual ~AnyHeap() = default;
  virtual void* allocate(std::size_t size, std::size_t alignment) = 0;
  virtual void* allocate_zeroed(std::size_t size, std::size_t alignment) = 0;
  virtual void deallocate(void* block, std::size_t size, std::size_t alignment) = 0;
  virtual void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) = 0;
  // For a heap that copies a block to resize it. Like a program, it then writes to the new block before it frees the
  // old one, so both are resident at once. `rear`: bytes at the end of a block that no program writes to.
  virtual void write_when_moved(Touch, std::size_t /*rear*/) {}
  virtual bool mark() = 0;     // false: the strategy has no scopes, or there are too many marks
  virtual bool release() = 0;  // back to the most recent mark
  [[nodiscard]] virtual bool scoped() const = 0;
  [[nodiscard]] virtual bool uses_region() const = 0;
  [[nodiscard]] virtual std::size_t usable_size(const void* block, std::size_t size) const = 0;
  [[nodiscard]] virtual HeapStats stats() const = 0;
  // Whether the heap records the request of each live block. For any other address, request_of() returns an empty
  // request.
  [[nodiscard]] virtual bool knows_requests() const { return false; }
  [[nodiscard]] virtual Request request_of(const void* /*block*/) const { return {}; }
  virtual void walk(const BlockVisitor& visit) const = 0;
  virtual void check() const = 0;
  // Appends the report of each adaptor, as members of a JSON object: "leak":{...}
  virtual void report(std::string&) const {}
};

template <Strategy S>
class HeapOf final : public AnyHeap {
 public:
  HeapOf(Region& region, const Parameters& parameters)
      : strategy_(region, parameters), uses_region_(memtool::uses_region<S>(parameters)) {}

  void* allocate(std::size_t size, std::size_t alignment) override { return strategy_.allocate(size, alignment); }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    if constexpr (AllocatesZeroed<S>) return strategy_.allocate_zeroed(size, alignment);
    void* block = strategy_.allocate(size, alignment);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    strategy_.deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    if constexpr (Reallocates<S>) return strategy_.reallocate(block, old_size, new_size, alignment);
    void* fresh = strategy_.allocate(new_size, alignment);
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, std::min(old_size, new_size));
    if (new_size > rear_) touch_grown(touch_, fresh, old_size, new_size - rear_);
    strategy_.deallocate(block, old_size, alignment);
    return fresh;
  }
  void write_when_moved(Touch touch, std::size_t rear) override {
    touch_ = touch;
    rear_ = rear;
    if constexpr (requires { strategy_.write_when_moved(touch, rear); }) strategy_.write_when_moved(touch, rear);
  }
  bool mark() override {
    if constexpr (Scoped<S>) {
      markers_.push_back(strategy_.mark());
      return true;
    }
    return false;
  }
  bool release() override {
    if constexpr (Scoped<S>) {
      if (markers_.empty()) return false;
      strategy_.release(markers_.back());
      markers_.pop_back();
      return true;
    }
    return false;
  }
  [[nodiscard]] bool scoped() const override { return Scoped<S>; }
  [[nodiscard]] bool uses_region() const override { return uses_region_; }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const override {
    return strategy_.usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const override { return strategy_.stats(); }
  void walk(const BlockVisitor& visit) const override { strategy_.walk(visit); }
  void check() const override { strategy_.check(); }

 private:
  S strategy_;
  bool uses_region_;
  Touch touch_ = Touch::none;
  std::size_t rear_ = 0;
  std::vector<MarkerOf<S>> markers_;
};

}  // namespace memtool
