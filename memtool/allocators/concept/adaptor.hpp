// An adaptor is a layer over any strategy, or over another adaptor. `pool+redzone+lock` is a recipe: the pool, red
// zones around its blocks, and a lock around both.
//
// Each layer reaches the one below it through one indirect call. A strategy without adaptors pays for none of this: it
// is compiled into its own replay loop (engine/replay/replay.hpp).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "allocators/concept/any_heap.hpp"
#include "allocators/concept/findings.hpp"

namespace memtool {

// How an adaptor affects calls from several threads.
enum class Threads : std::uint8_t {
  none,      // not allowed: the adaptor has state of its own and no lock
  as_below,  // as safe as the heap below
  any,       // safe, whatever the heap below
};

struct AdaptorInfo {
  std::string_view name;     // as the user writes it, such as "redzone"
  std::string_view summary;  // one line
  std::string_view source;   // the paper, book or tool that it follows
  std::string_view cost;     // what it adds to an operation and to a block
  std::string_view when;     // when to use it, one line
  std::span<const ParameterInfo> parameters = {};
  Threads threads = Threads::none;
  bool keeps_books = false;   // records each live block, so it cannot wrap a control, which has one block for all
  bool delays_frees = false;  // frees reach the heap below later and in another order
};

// Thrown if an adaptor cannot wrap the heap below. The message, one line, says what it needs and what it found.
class CannotStand : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// Forwards every call. Adaptors override what they change.
class Layer : public AnyHeap {
 public:
  explicit Layer(std::unique_ptr<AnyHeap> below) noexcept : below_(std::move(below)) {}

  void* allocate(std::size_t size, std::size_t alignment) override { return below_->allocate(size, alignment); }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    return below_->allocate_zeroed(size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    below_->deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    return below_->reallocate(block, old_size, new_size, alignment);
  }
  void write_when_moved(Touch touch, std::size_t rear) override { below_->write_when_moved(touch, rear); }
  bool mark() override { return below_->mark(); }
  bool release() override { return below_->release(); }
  [[nodiscard]] bool scoped() const override { return below_->scoped(); }
  [[nodiscard]] bool uses_region() const override { return below_->uses_region(); }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const override {
    return below_->usable_size(block, size);
  }
  [[nodiscard]] bool knows_requests() const override { return below_->knows_requests(); }
  [[nodiscard]] Request request_of(const void* block) const override { return below_->request_of(block); }
  [[nodiscard]] HeapStats stats() const override { return below_->stats(); }
  void walk(const BlockVisitor& visit) const override { below_->walk(visit); }
  void check() const override { below_->check(); }
  void report(std::string& json) const override { below_->report(json); }

 protected:
  [[nodiscard]] AnyHeap& below() noexcept { return *below_; }
  [[nodiscard]] const AnyHeap& below() const noexcept { return *below_; }

 private:
  std::unique_ptr<AnyHeap> below_;
};

}  // namespace memtool
