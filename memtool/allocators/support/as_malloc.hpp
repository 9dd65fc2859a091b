// A heap with the interface of a malloc: calls go through a pointer, a free passes only the block, and any thread may
// call at any time. If a strategy needs more than that to free a block, a header before the block records it.
//
// `BareHeap` does all of this except the call itself. A replay calls it through a table of functions (MallocCalls), a
// malloc replacement through the symbols that the dynamic linker looks for (preload/).
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/lane_number.hpp"
#include "allocators/support/malloc_calls.hpp"

namespace memtool {

// The header of a block whose heap needs the size at the free. `front`: number of bytes from the heap's own block to
// the program's block, which is also the alignment of both.
struct BareHeader {
  std::size_t size;
  std::size_t front;
};
static_assert(sizeof(BareHeader) <= kDefaultAlignment);

// Whether it is known at compile time that a heap is thread-safe, or that it is not.
template <class S>
inline constexpr bool kKnownThreads = requires { typename std::bool_constant<S::info.thread_safe>; };
template <class S>
constexpr bool is_known_safe() noexcept {
  if constexpr (kKnownThreads<S>) return S::info.thread_safe;
  return false;
}

// Counts the bytes of all headers and of the alignment gaps before them. If the heap needs no lock of ours, each thread
// of a replay has its own counter, because a shared counter would cost what such a heap is designed to save.
template <bool kAny>
class HeaderBytes {
 public:
  void add(std::size_t bytes, bool is_locked) noexcept {
    std::atomic<std::size_t>& own = counts_[is_locked ? 0 : lane_number % kCounts].bytes;
    if (is_locked)
      own.store(own.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
    else
      own.fetch_add(bytes, std::memory_order_relaxed);
  }
  [[nodiscard]] std::size_t sum() const noexcept {
    std::size_t all = 0;
    for (const Count& count : counts_) all += count.bytes.load(std::memory_order_relaxed);
    return all;
  }

 private:
  static constexpr std::size_t kCounts = kAny ? 16 : 1;
  struct alignas(64) Count {
    std::atomic<std::size_t> bytes{0};
  };
  std::array<Count, kCounts> counts_;
};

// How the calls of a thread reach the heap.
enum class Passage : std::uint8_t {
  round,     // after the checks that a fork needs, and a check whether the heap exists yet
  straight,  // directly: hold() is all that a fork needs, and the heap requests no memory (HeldForForks)
  locked,    // the heap's own lock, which hold() takes too, covers each call; the call only sets a mark, so that the
             // requests of the heap itself are served elsewhere
  inside,    // from inside the calls of a locked heap
};

// Every call is thread-safe. Blocks are aligned to at least kDefaultAlignment.
template <class S>
class BareHeap {
 public:
  static constexpr bool kKeepsHeader = !FreesBare<S>;
  // Whether a block keeps its alignment when it is resized. With a malloc it does not. Where it does not, the caller
  // has to copy the block, which a heap that frees only the youngest block could not serve.
  static constexpr bool kResizesAligned = Reallocates<S> && (kKeepsHeader || requires { S::kKeepsAlignment; });

  // The other arguments are the heap's own. `thread_safe` counts only if the type does not determine it.
  template <class... Arguments>
  explicit BareHeap(bool thread_safe, Arguments&&... arguments)
      : heap_(std::forward<Arguments>(arguments)...), locks_(!thread_safe) {}

  void* allocate(std::size_t size) noexcept {
    const Held held(lock());
    return make<false>(size, kDefaultAlignment);
  }
  void* allocate_aligned(std::size_t alignment, std::size_t size) noexcept {
    const Held held(lock());
    return make<false>(size, std::max(alignment, kDefaultAlignment));
  }
  void* allocate_zeroed(std::size_t size) noexcept {
    const Held held(lock());
    return make<true>(size, kDefaultAlignment);
  }
  void deallocate(void* block) noexcept {
    const Held held(lock());
    take_back(block);
  }

  // If it returns nullptr, the block is unchanged. A block that is large enough stays in place unless the heap itself
  // resizes blocks.
  void* reallocate(void* block, std::size_t size) noexcept {
    const Held held(lock());
    if constexpr (kKeepsHeader && Reallocates<S>) return resize(block, size);
    if constexpr (Reallocates<S>) return heap_.reallocate(block, usable(block), size, kDefaultAlignment);
    const std::size_t old = usable(block);
    if (size <= old) return block;
    void* fresh = make<false>(size, kDefaultAlignment);
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, old);
    take_back(block);
    return fresh;
  }

  [[nodiscard]] std::size_t usable_size(const void* block) const noexcept {
    const Held held(lock());
    return usable(block);
  }
  // A control does not record sizes, so a block of it has the requested size.
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const noexcept {
    if constexpr (!kKeepsHeader) {
      const Held held(lock());
      return heap_.usable_size(block, size);
    }
    return usable_size(block);
  }

  // Headers count as metadata.
  [[nodiscard]] HeapStats stats() const noexcept {
    const Held held(lock());
    HeapStats stats = heap_.stats();
    if (stats.granted != kNotApplicable) {
      const std::size_t headers = headers_.sum();
      stats.granted -= headers;
      if (stats.metadata_bytes != kNotApplicable) stats.metadata_bytes += headers;
    }
    return stats;
  }
  void walk(const BlockVisitor& visit) const {
    const Held held(lock());
    heap_.walk(visit);
  }
  void check() const {
    const Held held(lock());
    heap_.check();
  }
  [[nodiscard]] const S& heap() const noexcept { return heap_; }
  [[nodiscard]] S& heap() noexcept { return heap_; }

  // From before a fork until after it, in both processes. No other thread is then inside the heap. So the child, in
  // which only the forking thread continues, finds the heap consistent and its lock free.
  void hold() noexcept {
    if (std::mutex* mutex = lock()) mutex->lock();
    if constexpr (HeldForForks<S>) heap_.hold();
  }
  void let_go() noexcept {
    if constexpr (HeldForForks<S>) heap_.let_go();
    if (std::mutex* mutex = lock()) mutex->unlock();
  }
  // The protection that a call needs in a program that forks.
  [[nodiscard]] Passage passage() const noexcept {
    if constexpr (HeldForForks<S>) return Passage::straight;
    return is_locked() ? Passage::locked : Passage::round;
  }

 private:
  class Held {
   public:
    explicit Held(std::mutex* mutex) noexcept : mutex_(mutex) {
      if (mutex_ != nullptr) mutex_->lock();
    }
    ~Held() {
      if (mutex_ != nullptr) mutex_->unlock();
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;

   private:
    std::mutex* mutex_;
  };
  [[nodiscard]] bool is_locked() const noexcept {
    if constexpr (kKnownThreads<S>) return !is_known_safe<S>();
    return locks_;
  }
  [[nodiscard]] std::mutex* lock() const noexcept { return is_locked() ? &mutex_ : nullptr; }

  template <bool kZeroed>
  void* from_heap(std::size_t size, std::size_t alignment) noexcept {
    if constexpr (!kZeroed) return heap_.allocate(size, alignment);
    if constexpr (kZeroed && AllocatesZeroed<S>) return heap_.allocate_zeroed(size, alignment);
    void* block = heap_.allocate(size, alignment);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }

  template <bool kZeroed>
  void* make(std::size_t size, std::size_t alignment) noexcept {
    if constexpr (!kKeepsHeader) return from_heap<kZeroed>(size, alignment);
    size += size == 0;  // behind a header, a block of 0 bytes would share the address of the next block
    const std::size_t whole = size + alignment;
    void* block = whole < size ? nullptr : from_heap<kZeroed>(whole, alignment);
    return block == nullptr ? nullptr : headed(block, size, alignment);
  }
  // Returns the program's block inside one of the heap's own.
  void* headed(void* own, std::size_t size, std::size_t front) noexcept {
    std::byte* block = static_cast<std::byte*>(own) + front;
    reinterpret_cast<BareHeader*>(block)[-1] = {.size = size, .front = front};
    headers_.add(front, is_locked());
    return block;
  }
  static BareHeader header_of(const void* block) noexcept { return static_cast<const BareHeader*>(block)[-1]; }

  void take_back(void* block) noexcept {
    if constexpr (!kKeepsHeader) {
      heap_.deallocate(block);
    } else {
      const BareHeader header = header_of(block);
      headers_.add(-header.front, is_locked());
      heap_.deallocate(static_cast<std::byte*>(block) - header.front, header.size + header.front, header.front);
    }
  }
  void* resize(void* block, std::size_t size) noexcept {
    const BareHeader header = header_of(block);
    size += size == 0;
    const std::size_t whole = size + header.front;
    if (whole < size) return nullptr;
    void* own = static_cast<std::byte*>(block) - header.front;
    void* moved = heap_.reallocate(own, header.size + header.front, whole, header.front);
    if (moved == nullptr) return nullptr;
    headers_.add(-header.front, is_locked());
    return headed(moved, size, header.front);
  }
  [[nodiscard]] std::size_t usable(const void* block) const noexcept {
    if constexpr (!kKeepsHeader) {
      return heap_.usable_size(block, 0);
    } else {
      const BareHeader header = header_of(block);
      const void* own = static_cast<const std::byte*>(block) - header.front;
      return heap_.usable_size(own, header.size + header.front) - header.front;
    }
  }

  S heap_;
  bool locks_;
  HeaderBytes<kKeepsHeader> headers_;
  mutable std::mutex mutex_;
};

// A heap of any type with the interface of a malloc.
class MallocHeap {
 public:
  virtual ~MallocHeap() = default;
  // The functions that a program would call. They belong to this heap until another heap of the same type returns its
  // own, as in a process that has one malloc.
  virtual MallocCalls calls() noexcept = 0;
  // Called around a fork and around each call; see BareHeap.
  virtual void hold() noexcept = 0;
  virtual void let_go() noexcept = 0;
  [[nodiscard]] virtual Passage passage() const noexcept = 0;

  virtual void* allocate(std::size_t size) = 0;
  virtual void* allocate_aligned(std::size_t alignment, std::size_t size) = 0;
  virtual void* allocate_zeroed(std::size_t size) = 0;
  virtual void* reallocate(void* block, std::size_t size) = 0;
  virtual void deallocate(void* block) = 0;
  // See BareHeap::kResizesAligned.
  [[nodiscard]] virtual bool resizes_aligned() const = 0;
  [[nodiscard]] virtual std::size_t usable_size(const void* block, std::size_t size) const = 0;
  [[nodiscard]] virtual HeapStats stats() const = 0;
  virtual void walk(const BlockVisitor& visit) const = 0;
  virtual void check() const = 0;
  virtual void report(std::string& json) const = 0;
};

template <class S>
class MallocOf final : public MallocHeap {
 public:
  template <class... Arguments>
  explicit MallocOf(bool thread_safe, Arguments&&... arguments)
      : bare_(thread_safe, std::forward<Arguments>(arguments)...) {}
  ~MallocOf() override {
    if (current == this) current = nullptr;
  }
  MallocOf(const MallocOf&) = delete;
  MallocOf& operator=(const MallocOf&) = delete;

  MallocCalls calls() noexcept override {
    // A malloc's own functions are what a program calls. Another layer would add a cost of ours.
    if constexpr (requires { S::kCalls; }) return S::kCalls;
    current = this;
    return {
        .allocate = [](std::size_t size) { return current->bare_.allocate(size); },
        .allocate_aligned = [](std::size_t alignment,
                               std::size_t size) { return current->bare_.allocate_aligned(alignment, size); },
        .allocate_zeroed = [](std::size_t count,
                              std::size_t size) { return current->bare_.allocate_zeroed(count * size); },
        .reallocate = [](void* block, std::size_t size) { return current->bare_.reallocate(block, size); },
        .deallocate = [](void* block) { current->bare_.deallocate(block); },
    };
  }

  void hold() noexcept override { bare_.hold(); }
  void let_go() noexcept override { bare_.let_go(); }
  [[nodiscard]] Passage passage() const noexcept override { return bare_.passage(); }

  void* allocate(std::size_t size) override { return bare_.allocate(size); }
  void* allocate_aligned(std::size_t alignment, std::size_t size) override {
    return bare_.allocate_aligned(alignment, size);
  }
  void* allocate_zeroed(std::size_t size) override { return bare_.allocate_zeroed(size); }
  void* reallocate(void* block, std::size_t size) override { return bare_.reallocate(block, size); }
  void deallocate(void* block) override { bare_.deallocate(block); }
  [[nodiscard]] bool resizes_aligned() const override { return BareHeap<S>::kResizesAligned; }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const override {
    return bare_.usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const override { return bare_.stats(); }
  void walk(const BlockVisitor& visit) const override { bare_.walk(visit); }
  void check() const override { bare_.check(); }
  void report(std::string& json) const override {
    if constexpr (requires { bare_.heap().report(json); }) bare_.heap().report(json);
  }

 private:
  static inline MallocOf* current = nullptr;
  BareHeap<S> bare_;
};

}  // namespace memtool
