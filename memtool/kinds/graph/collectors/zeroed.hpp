// Tables beside a heap: zeroes that take memory only when they are written, and count by the page.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <new>

namespace memtool::graph {

template <class T>
class Zeroed {
 public:
  explicit Zeroed(std::size_t count) : bytes_(std::max<std::size_t>(count, 1) * sizeof(T)) {
    void* memory = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    first_ = static_cast<T*>(memory);
  }
  ~Zeroed() { munmap(first_, bytes_); }
  Zeroed(const Zeroed&) = delete;
  Zeroed& operator=(const Zeroed&) = delete;

  T& operator[](std::size_t index) noexcept { return first_[index]; }
  const T& operator[](std::size_t index) const noexcept { return first_[index]; }
  [[nodiscard]] T* data() noexcept { return first_; }

 private:
  std::size_t bytes_;
  T* first_ = nullptr;
};

}  // namespace memtool::graph
