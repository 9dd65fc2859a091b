// How containers get the memory of a heap: through a standard allocator over it, or through a memory resource.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <new>
#include <scoped_allocator>
#include <type_traits>

#include "allocators/concept/any_heap.hpp"

namespace memtool::containers {

// ISO C++, [allocator.requirements]. `kPropagates`: assigning a container also assigns its heap.
template <class T, bool kPropagates>
class HeapAllocator {
 public:
  using value_type = T;
  using propagate_on_container_copy_assignment = std::bool_constant<kPropagates>;
  using propagate_on_container_move_assignment = std::bool_constant<kPropagates>;
  using propagate_on_container_swap = std::bool_constant<kPropagates>;
  using is_always_equal = std::false_type;
  template <class U>
  struct rebind {
    using other = HeapAllocator<U, kPropagates>;
  };

  explicit HeapAllocator(AnyHeap& heap) noexcept : heap_(&heap) {}
  template <class U>
  HeapAllocator(const HeapAllocator<U, kPropagates>& other) noexcept : heap_(&other.heap()) {}

  [[nodiscard]] T* allocate(std::size_t count) {
    void* block = heap_->allocate(count * sizeof(T), alignof(T));
    if (block == nullptr) [[unlikely]]
      throw std::bad_alloc();
    return static_cast<T*>(block);
  }
  void deallocate(T* block, std::size_t count) noexcept { heap_->deallocate(block, count * sizeof(T), alignof(T)); }
  [[nodiscard]] AnyHeap& heap() const noexcept { return *heap_; }

  template <class U>
  bool operator==(const HeapAllocator<U, kPropagates>& other) const noexcept {
    return heap_ == &other.heap();
  }

 private:
  AnyHeap* heap_;
};

class HeapResource final : public std::pmr::memory_resource {
 public:
  explicit HeapResource(AnyHeap& heap) noexcept : heap_(heap) {}

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* block = heap_.allocate(bytes, alignment);
    if (block == nullptr) [[unlikely]]
      throw std::bad_alloc();
    return block;
  }
  void do_deallocate(void* block, std::size_t bytes, std::size_t alignment) override {
    heap_.deallocate(block, bytes, alignment);
  }
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  AnyHeap& heap_;
};

// A way: the allocator of a container, the allocator of its elements, whether the first passes itself on to the
// elements, and what an allocator is made from.
template <bool kPropagates>
struct Plain {
  template <class T>
  using Outer = HeapAllocator<T, kPropagates>;
  template <class T>
  using Inner = HeapAllocator<T, kPropagates>;
  static constexpr bool kPassesDown = false;
  struct Source {
    explicit Source(AnyHeap& of) noexcept : heap(of) {}
    template <class A>
    [[nodiscard]] A make() noexcept {
      return A(heap);
    }
    AnyHeap& heap;
  };
};
struct Scoped : Plain<false> {
  template <class T>
  using Outer = std::scoped_allocator_adaptor<HeapAllocator<T, false>>;
  static constexpr bool kPassesDown = true;
};
struct Pmr {
  template <class T>
  using Outer = std::pmr::polymorphic_allocator<T>;
  template <class T>
  using Inner = std::pmr::polymorphic_allocator<T>;
  static constexpr bool kPassesDown = true;
  struct Source {
    explicit Source(AnyHeap& heap) noexcept : resource(heap) {}
    template <class A>
    [[nodiscard]] A make() noexcept {
      return A(&resource);
    }
    HeapResource resource;
  };
};

}  // namespace memtool::containers
