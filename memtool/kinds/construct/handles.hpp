// The ways in which the language and its library manage objects: new, smart pointers and arrays. All take their memory
// from one heap through indirect calls, just as operator new calls another library.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "kinds/construct/lives.hpp"

namespace memtool::construct {

// The source of memory for the objects of a way, and the length of an array of them.
struct Source {
  AnyHeap* heap = nullptr;
  std::size_t per_array = 1;
};
inline Source source;

inline void* take(std::size_t bytes, std::size_t alignment) {
  void* block = source.heap->allocate(bytes, alignment);
  if (block == nullptr) [[unlikely]]
    throw std::bad_alloc();
  return block;
}

template <class T>
struct SourceAllocator {
  using value_type = T;
  SourceAllocator() = default;
  template <class U>
  explicit(false) SourceAllocator(const SourceAllocator<U>&) noexcept {}
  T* allocate(std::size_t count) { return static_cast<T*>(take(count * sizeof(T), Compiled<T>::alignment())); }
  void deallocate(T* block, std::size_t count) noexcept {
    source.heap->deallocate(block, count * sizeof(T), Compiled<T>::alignment());
  }
  template <class U>
  bool operator==(const SourceAllocator<U>&) const noexcept {
    return true;
  }
};

// A type with its own operator new.
template <class T>
struct Newed : T {
  static void* operator new(std::size_t bytes) { return take(bytes, Compiled<T>::alignment()); }
  static void* operator new[](std::size_t bytes) { return take(bytes, Compiled<T>::alignment()); }
  static void operator delete(void* block, std::size_t bytes) noexcept {
    source.heap->deallocate(block, bytes, Compiled<T>::alignment());
  }
  static void operator delete[](void* block, std::size_t bytes) noexcept {
    source.heap->deallocate(block, bytes, Compiled<T>::alignment());
  }
};

// How a program uses the object of a handle: directly; holding a reference meanwhile, as a callee would; or one after
// another, for an array.
struct UsedDirectly {
  static std::uint64_t use(auto& handle) { return handle->use(); }
};
struct UsedHeld {
  static std::uint64_t use(const auto& handle) {
    const auto held = handle;
    return held->use();
  }
};
struct UsedInTurn {
  static std::uint64_t use(auto* objects) {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < source.per_array; ++i) sum += objects[i].use();
    return sum;
  }
};

template <class T>
struct ByNew : UsedDirectly {
  using Handle = Newed<T>*;
  static Handle make() { return new Newed<T>(); }
  static void end(Handle& handle) noexcept { delete std::exchange(handle, nullptr); }
};

template <class T>
struct ByUniquePtr : UsedDirectly {
  using Handle = std::unique_ptr<Newed<T>>;
  static Handle make() { return Handle(new Newed<T>()); }
  static void end(Handle& handle) noexcept { handle.reset(); }
};

// The object and its count in separate blocks.
template <class T>
struct BySharedPtr : UsedHeld {
  using Handle = std::shared_ptr<Newed<T>>;
  static Handle make() {
    return Handle(new Newed<T>(), std::default_delete<Newed<T>>(), SourceAllocator<std::max_align_t>());
  }
  static void end(Handle& handle) noexcept { handle.reset(); }
};

template <class T>
struct ByMakeShared : UsedHeld {
  using Handle = std::shared_ptr<T>;
  static Handle make() { return std::allocate_shared<T>(SourceAllocator<T>()); }
  static void end(Handle& handle) noexcept { handle.reset(); }
};

// The count lies in the object itself.
template <class T>
struct ByIntrusiveCount : UsedHeld {
  struct Referenced : Newed<T> {
    std::atomic<std::uint32_t> references = 1;
  };
  class Handle {
   public:
    Handle() = default;
    explicit Handle(Referenced* object) noexcept : object_(object) {}
    Handle(const Handle& other) noexcept : object_(other.object_) {
      if (object_ != nullptr) object_->references.fetch_add(1, std::memory_order_relaxed);
    }
    Handle(Handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Handle& operator=(Handle other) noexcept {
      std::swap(object_, other.object_);
      return *this;
    }
    ~Handle() {
      if (object_ != nullptr && object_->references.fetch_sub(1, std::memory_order_acq_rel) == 1) delete object_;
    }
    Referenced* operator->() const noexcept { return object_; }

   private:
    Referenced* object_ = nullptr;
  };
  static Handle make() { return Handle(new Referenced()); }
  static void end(Handle& handle) noexcept { handle = Handle(); }
};

// Arrays: those of the language, which stores their length beside them, and ranges of memory in which objects are
// constructed.
template <class T>
struct ByArrayNew : UsedInTurn {
  using Handle = Newed<T>*;
  static Handle make() { return new Newed<T>[source.per_array](); }
  static void end(Handle& handle) noexcept { delete[] std::exchange(handle, nullptr); }
};
template <class T>
struct ByUninitialized : UsedInTurn {
  using Handle = T*;
  static Handle make() {
    SourceAllocator<T> allocator;
    T* const block = allocator.allocate(source.per_array);
    try {
      std::uninitialized_value_construct_n(block, source.per_array);
    } catch (...) {
      allocator.deallocate(block, source.per_array);
      throw;
    }
    return block;
  }
  static void end(Handle& handle) noexcept {
    T* const block = std::exchange(handle, nullptr);
    if (block == nullptr) return;
    std::destroy_n(block, source.per_array);
    SourceAllocator<T>().deallocate(block, source.per_array);
  }
};

template <class By>
class Handled final : public Life {
 public:
  explicit Handled(const Setting& setting) : Life(setting), handles_(setting.count) {
    source = {setting.heap, setting.per_array};
  }
  void make() override {
    made_ = 0;
    try {
      for (auto& handle : handles_) {
        handle = By::make();
        ++made_;
      }
    } catch (const std::bad_alloc&) {
    }
  }
  std::uint64_t use() override {
    std::uint64_t sum = 0;
    for (auto& handle : handles_) sum += By::use(handle);
    return sum;
  }
  void end() override {
    for (const std::uint32_t at : setting_.order) By::end(handles_[at]);
  }
  void end_part() override {
    for (auto& handle : handles_) By::end(handle);
  }

 private:
  std::vector<typename By::Handle> handles_;
};

}  // namespace memtool::construct
