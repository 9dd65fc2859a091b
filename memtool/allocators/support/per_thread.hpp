// The state that a heap keeps for each thread. It is created at the thread's first call and returned when the thread
// ends.
//
// A look-up is one load and one comparison. Each heap has a number that no other heap ever has. So a thread never
// mistakes its state for a destroyed heap for that of a new heap at the same address.
#pragma once

#include <pthread.h>
#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <vector>

#include "allocators/support/bits.hpp"

namespace memtool {

// Whether this library only ever has one heap, which is never destroyed: a malloc (preload/alone.cpp). The state of a
// thread then belongs to that heap.
#ifdef MEMTOOL_ONE_HEAP
inline constexpr bool kOneHeap = true;
#else
inline constexpr bool kOneHeap = false;
#endif

// All heaps that keep state for threads. They are notified when a thread ends.
class ThreadEnds {
 public:
  class Listener {
   public:
    virtual void thread_ends(std::uint64_t thread) noexcept = 0;

   protected:
    ~Listener() = default;
  };

  static void add(Listener& listener) {
    const std::scoped_lock lock(all().mutex);
    all().listeners.push_back(&listener);
  }
  // After it returns, the listener is not in a notification and will never get another.
  static void remove(Listener& listener) noexcept {
    const std::scoped_lock lock(all().mutex);
    std::erase(all().listeners, &listener);
  }

  // Returns a number for the calling thread that no other thread ever has. From now on the end of the thread is
  // notified. If a later destructor of the thread calls again, another notification follows.
  static std::uint64_t this_thread() noexcept {
    if (own_.number == 0) own_.number = next_number();
    if (!own_.is_told) own_.is_told = pthread_setspecific(all().at_end, &own_) == 0;
    return own_.number;
  }
  // Called around a fork. Between the calls no notification is in progress.
  static void hold() noexcept { all().mutex.lock(); }
  static void let_go() noexcept { all().mutex.unlock(); }
  static std::uint64_t next_number() noexcept {
    static std::atomic<std::uint64_t> last{0};
    return ++last;
  }

 private:
  struct All {
    All() noexcept { pthread_key_create(&at_end, tell); }
    pthread_key_t at_end{};
    std::mutex mutex;
    std::vector<Listener*> listeners;
  };
  // Never destroyed, because threads may end after everything else has.
  static All& all() noexcept {
    static All& listeners = *new All;
    return listeners;
  }
  // The end of a thread is noticed after its C++ destructors have run, because the destructor of a key does it.
  // Destructors of other keys may still free memory afterwards.
  struct Thread {
    std::uint64_t number;  // 0: none yet
    bool is_told;          // the end of the thread will be notified
  };
  static void tell(void* thread) noexcept {
    static_cast<Thread*>(thread)->is_told = false;
    const std::scoped_lock lock(all().mutex);
    for (Listener* listener : all().listeners) listener->thread_ends(static_cast<Thread*>(thread)->number);
  }
  static inline constinit thread_local Thread own_ [[gnu::tls_model("initial-exec")]] = {0, false};
};

// `State` is constructed from its index. Its memory never moves, and is not freed while the heap exists, so other
// threads may read it at any time. A thread that ends leaves its state for the next new thread.
// `Owner::thread_ends(State&)` may empty it first.
template <class State, class Owner>
class PerThread final : private ThreadEnds::Listener {
 public:
  static constexpr std::size_t kMost = 4096;  // threads at once

  explicit PerThread(Owner& owner) : owner_(owner), stride_(bits::round_up(sizeof(State), kPage)) {
    // Lies between inaccessible pages, so that the kernel does not show it as one mapping with the region next to it.
    void* mapped = mmap(nullptr, mapped_bytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapped != MAP_FAILED) {
      states_ = static_cast<std::byte*>(mapped) + kPage;
      if (mprotect(states_, kMost * stride_, PROT_READ | PROT_WRITE) != 0) {
        munmap(mapped, mapped_bytes());
        states_ = nullptr;
      }
    }
    threads_.reserve(kMost);  // so that a thread's first call requests no memory in the middle of another call
    ThreadEnds::add(*this);
  }
  ~PerThread() {
    ThreadEnds::remove(*this);
    for (std::size_t i = 0; i < made_; ++i) at(i).~State();
    if (states_ != nullptr) munmap(states_ - kPage, mapped_bytes());
  }
  PerThread(const PerThread&) = delete;
  PerThread& operator=(const PerThread&) = delete;

  // The state of the calling thread; nullptr if there are too many threads.
  [[nodiscard, gnu::always_inline]] State* mine() noexcept {
    State* state = bound();
    return state != nullptr ? state : bind();
  }
  // The same if the thread has called before; otherwise nullptr.
  [[nodiscard, gnu::always_inline]] State* bound() const noexcept {
    if constexpr (kOneHeap) return static_cast<State*>(bound_.state);
    if (bound_.heap != number_) [[unlikely]]
      return nullptr;
    if (bound_.state == nullptr) __builtin_unreachable();
    return static_cast<State*>(bound_.state);
  }

  // Makes the thread count as new. Its next call finds its state again.
  void unbind() noexcept { bound_ = {}; }

  [[nodiscard]] State& at(std::size_t index) const noexcept {
    return *std::launder(reinterpret_cast<State*>(states_ + index * stride_));
  }
  [[nodiscard]] std::size_t bytes() const noexcept {
    const std::scoped_lock lock(mutex_);
    return made_ * stride_;
  }
  // Called around a fork.
  void hold() noexcept {
    ThreadEnds::hold();
    mutex_.lock();
  }
  void let_go() noexcept {
    mutex_.unlock();
    ThreadEnds::let_go();
  }
  template <class Visit>
  void for_each(Visit visit) const {
    const std::scoped_lock lock(mutex_);
    for (std::size_t i = 0; i < made_; ++i) visit(at(i));
  }

 private:
  static constexpr std::size_t kPage = 4096;
  struct Bound {
    std::uint64_t heap;  // number of the heap; 0: none
    void* state;
  };

  [[nodiscard]] std::size_t mapped_bytes() const noexcept { return kMost * stride_ + 2 * kPage; }

  [[gnu::noinline]] State* bind() noexcept {
    const std::uint64_t thread = ThreadEnds::this_thread();
    const std::scoped_lock lock(mutex_);
    const auto begin = threads_.begin();
    // The thread may have a state, and have called another heap since. Otherwise it takes one that an ended thread
    // left.
    auto entry = std::find(begin, threads_.end(), thread);
    if (entry == threads_.end()) entry = std::find(begin, threads_.end(), std::uint64_t{0});
    const auto index = static_cast<std::size_t>(entry - begin);
    if (entry == threads_.end()) {
      if (states_ == nullptr || made_ == kMost) return nullptr;
      new (states_ + index * stride_) State(index);
      threads_.push_back(thread);
      ++made_;
    }
    threads_[index] = thread;
    bound_ = {number_, &at(index)};
    return &at(index);
  }

  void thread_ends(std::uint64_t thread) noexcept override {
    const std::scoped_lock lock(mutex_);
    const auto entry = std::find(threads_.begin(), threads_.end(), thread);
    if (entry == threads_.end()) return;
    owner_.thread_ends(at(static_cast<std::size_t>(entry - threads_.begin())));
    *entry = 0;
    // If later destructors of the thread free memory, they find no state and take a new one.
    if (bound_.heap == number_) unbind();
  }

  static inline constinit thread_local Bound bound_ [[gnu::tls_model("initial-exec")]] = {0, nullptr};

  Owner& owner_;
  const std::uint64_t number_ = ThreadEnds::next_number();
  std::size_t stride_;
  std::byte* states_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<std::uint64_t> threads_;  // the thread of each state; 0: left by a thread that ended
  std::size_t made_ = 0;
};

}  // namespace memtool
