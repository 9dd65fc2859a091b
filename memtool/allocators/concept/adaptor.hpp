// What an adaptor is: a layer over any strategy, or over another adaptor. `pool+redzone+lock` is a recipe: the pool,
// red zones round its blocks, a lock round both.
//
// Each layer reaches the one below it by one indirect call. A strategy without adaptors has none of this: it is
// compiled into its own replay loop (engine/replay/replay.hpp).
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "allocators/concept/any_heap.hpp"
#include "allocators/concept/findings.hpp"

namespace memtool {

// What becomes of calls from several threads.
enum class Threads : std::uint8_t {
  none,      // must not be: the adaptor has state of its own and no lock
  as_below,  // as what it stands on
  any,       // it makes what it stands on safe
};

struct AdaptorInfo {
  std::string_view name;     // as the user writes it: "redzone"
  std::string_view summary;  // one line
  std::string_view source;   // paper, book or tool that it follows
  std::string_view cost;     // what it adds to an operation and to a block
  std::string_view when;     // when to use it, one line
  std::span<const ParameterInfo> parameters = {};
  Threads threads = Threads::none;
  bool keeps_books = false;   // knows each live block, so a control's one block for all cannot be below it
  bool delays_frees = false;  // frees reach what is below later, and in another order
};

// Thrown where an adaptor cannot stand on what is below it: in one line, what it needs and what there is.
class CannotStand : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// Hands everything on. Adaptors override what they change.
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
