// The ways in which objects begin and end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "allocators/concept/any_heap.hpp"
#include "kinds/construct/loops.hpp"

namespace memtool::construct {

// The input of every way.
struct Setting {
  AnyHeap* heap;                         // nullptr for a way that needs none
  std::span<std::byte> place;            // where objects are constructed that need no heap
  std::size_t count;                     // number of objects
  std::size_t per_array;                 // number of objects in each array
  std::span<const std::uint32_t> order;  // order in which they end
};

// All objects in one way. If memory is exhausted, fewer objects are made, and made() is less than the count.
class Life {
 public:
  explicit Life(const Setting& setting) : setting_(setting) {}
  virtual ~Life() = default;
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  virtual void make() = 0;
  virtual std::uint64_t use() = 0;
  virtual void end() = 0;
  // Ends the existing objects after a constructor has thrown in the middle of make().
  virtual void end_part() = 0;
  [[nodiscard]] std::size_t made() const noexcept { return made_; }

  // The same in steps that are timed separately. Not every way has them.
  [[nodiscard]] virtual bool has_steps() const noexcept { return false; }
  virtual void allocate() {}
  virtual void construct() {}
  virtual void destroy() {}
  virtual void deallocate() {}

 protected:
  [[nodiscard]] AnyHeap& heap() const noexcept { return *setting_.heap; }

  Setting setting_;
  std::size_t made_ = 0;
};

// A way in which an object of the type M is ended through a pointer to it.
template <class M>
class ByPointer : public Life {
 public:
  explicit ByPointer(const Setting& setting) : Life(setting), slots_(setting.count) {}
  std::uint64_t use() override {
    std::uint64_t sum = 0;
    for (void* slot : slots_) sum += M::use(slot);
    return sum;
  }
  void end_part() override {
    for (void*& slot : slots_)
      if (slot != nullptr) end_one(std::exchange(slot, nullptr));
  }
  void construct() override {
    for (void* slot : slots_) M::construct(slot);
  }
  void destroy() override {
    for (const std::uint32_t at : setting_.order) M::destroy(slots_[at]);
  }

 protected:
  virtual void end_one(void* slot) = 0;
  void end_and_free(void* slot) {
    M::destroy(slot);
    heap().deallocate(slot, M::size(), M::alignment());
  }
  std::vector<void*> slots_;
};

// allocate, and construct_at; destroy_at, and deallocate.
template <class M>
class Placement : public ByPointer<M> {
 public:
  Placement(const Setting& setting, const Loops& loops) : ByPointer<M>(setting), loops_(loops) {}
  void make() override { this->made_ = loops_.make(this->heap(), this->slots_.data(), this->slots_.size()); }
  void end() override { loops_.end(this->heap(), this->slots_.data(), this->setting_.order.data(), this->made_); }
  [[nodiscard]] bool has_steps() const noexcept override { return true; }
  void allocate() override {
    for (this->made_ = 0; this->made_ < this->slots_.size(); ++this->made_) {
      void* block = this->heap().allocate(M::size(), M::alignment());
      this->slots_[this->made_] = block;
      if (block == nullptr) return;
    }
  }
  void deallocate() override {
    for (const std::uint32_t at : this->setting_.order)
      this->heap().deallocate(this->slots_[at], M::size(), M::alignment());
  }

 protected:
  void end_one(void* slot) override { this->end_and_free(slot); }

 private:
  Loops loops_;
};

// Only the memory, with the same events: this is the cost of the allocator itself.
template <class M>
class Memory final : public Placement<M> {
 public:
  explicit Memory(const Setting& setting) : Placement<M>(setting, kLoops<M, AnyHeap>) {}
  void make() override { this->allocate(); }
  std::uint64_t use() override { return this->made_; }
  void end() override { this->deallocate(); }
  void construct() override {}
  void destroy() override {}

 protected:
  void end_one(void* slot) override { this->heap().deallocate(slot, M::size(), M::alignment()); }
};

// Objects in an arena, which is freed as a whole, after the destructors have run or without running them.
template <class M>
class Dropped final : public Placement<M> {
 public:
  // `reopen` creates a new heap if the heap has no scopes.
  template <class Reopen>
  Dropped(const Setting& setting, const Loops& loops, bool destroys, Reopen reopen)
      : Placement<M>(setting, loops), destroys_(destroys), reopen_(reopen) {}
  void make() override {
    marked_ = this->heap().mark();
    Placement<M>::make();
  }
  void end() override {
    if (destroys_) Placement<M>::destroy();
    drop();
  }
  void end_part() override {
    for (void*& slot : this->slots_)
      if (void* object = std::exchange(slot, nullptr); object != nullptr && destroys_) M::destroy(object);
    drop();
  }
  [[nodiscard]] bool has_steps() const noexcept override { return false; }

 private:
  void drop() {
    if (marked_) {
      this->heap().release();
    } else {
      this->setting_.heap = reopen_();
    }
  }
  bool destroys_;
  bool marked_ = false;
  std::function<AnyHeap*()> reopen_;
};

// Construction in memory that already exists.
template <class M>
class InPlace final : public ByPointer<M> {
 public:
  explicit InPlace(const Setting& setting) : ByPointer<M>(setting) {}
  void make() override {
    if (this->slots_.size() > this->setting_.place.size() / stride()) return;
    std::byte* at = this->setting_.place.data();
    for (void*& slot : this->slots_) {
      M::construct(at);
      slot = at;
      at += stride();
    }
    this->made_ = this->slots_.size();
  }
  void end() override { ByPointer<M>::destroy(); }
  [[nodiscard]] bool has_steps() const noexcept override { return true; }
  void allocate() override {
    std::byte* at = this->setting_.place.data();
    for (void*& slot : this->slots_) slot = std::exchange(at, at + stride());
    this->made_ = this->slots_.size();
  }

 protected:
  void end_one(void* slot) override { M::destroy(slot); }

 private:
  static std::size_t stride() noexcept { return (M::size() + M::alignment() - 1) & ~(M::alignment() - 1); }
};

// A pool of objects that were constructed once: each is taken, reset, used and returned.
template <class M>
class Reset final : public ByPointer<M> {
 public:
  explicit Reset(const Setting& setting) : ByPointer<M>(setting) {
    try {
      this->made_ = make_all<M, AnyHeap>(this->heap(), this->slots_.data(), this->slots_.size());
    } catch (...) {
      for (void* object : this->slots_)
        if (object != nullptr) Reset::end_one(object);
      throw;
    }
    free_.assign(this->slots_.begin(), this->slots_.begin() + static_cast<std::ptrdiff_t>(this->made_));
  }
  ~Reset() override {
    for (void* object : free_) Reset::end_one(object);
  }
  void make() override {
    if (this->made_ < this->slots_.size()) return;
    for (void*& slot : this->slots_) {
      slot = free_.back();
      free_.pop_back();
      M::reset(slot);
    }
  }
  void end() override {
    for (const std::uint32_t at : this->setting_.order) free_.push_back(this->slots_[at]);
  }
  void end_part() override {}

 protected:
  void end_one(void* slot) override { this->end_and_free(slot); }

 private:
  std::vector<void*> free_;
};

}  // namespace memtool::construct
