// Objects of the harness, which do not come from malloc.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include "engine/instruments/pages.hpp"

namespace memtool::containers {

// Pages for a row, which every replay uses again, so that the timed part does not request them from the system.
class Room {
 public:
  void* of(std::size_t bytes) noexcept {
    if (!pages_ || pages_->range().end - pages_->range().begin < bytes) pages_.emplace(bytes);
    return pages_->base();
  }

 private:
  std::optional<OwnPages> pages_;
};

// A bounded number of objects in their own room, because the harness must not use the malloc that is measured.
template <class T>
class Row {
 public:
  Row(Room& room, std::size_t most) noexcept
      : first_(static_cast<T*>(room.of(std::max<std::size_t>(most, 1) * sizeof(T)))) {}
  ~Row() { clear(); }
  Row(const Row&) = delete;
  Row& operator=(const Row&) = delete;

  template <class... Arguments>
  void emplace_back(Arguments&&... arguments) {
    std::construct_at(first_ + size_, std::forward<Arguments>(arguments)...);
    ++size_;
  }
  void clear() noexcept {
    while (size_ > 0) std::destroy_at(first_ + --size_);
  }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] T* begin() noexcept { return first_; }
  [[nodiscard]] T& operator[](std::size_t index) noexcept { return first_[index]; }
  [[nodiscard]] const T& operator[](std::size_t index) const noexcept { return first_[index]; }

 private:
  T* first_;
  std::size_t size_ = 0;
};

}  // namespace memtool::containers
