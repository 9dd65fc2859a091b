// Objects that record their own lives, and a heap that records its blocks, for the passes that time nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "allocators/concept/adaptor.hpp"

namespace memtool::construct {

// Thrown by the constructor that is chosen to fail.
struct Thrown {};

class Books {
 public:
  std::uint64_t constructions = 0;
  std::uint64_t destructions = 0;
  std::uint64_t throws_at = 0;  // number of the construction that throws; 0: none
  std::uint64_t blocks = 0;     // number of blocks requested from a heap
  std::uint64_t asked_bytes = 0;

  void constructed(const void* object, std::size_t alignment);
  void destroyed(const void* object) noexcept;
  void used(const void* object);
  void forget() noexcept { live_.clear(); }
  void say(std::string words);  // keeps the first message
  [[nodiscard]] std::size_t live() const noexcept { return live_.size(); }
  [[nodiscard]] const std::string& wrong() const noexcept { return wrong_; }

 private:
  std::set<const void*> live_;
  std::string wrong_;
};
inline Books* books = nullptr;

template <class T>
struct Counted : T {
  Counted() : T() { books->constructed(this, alignof(T)); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  ~Counted() { books->destroyed(this); }
  std::uint64_t use() {
    books->used(this);
    return T::use();
  }
};

class Watched final : public Layer {
 public:
  Watched(std::unique_ptr<AnyHeap> below, Books& keeper) noexcept : Layer(std::move(below)), books_(keeper) {}

  void* allocate(std::size_t size, std::size_t alignment) override;
  void deallocate(void* block, std::size_t size, std::size_t alignment) override;
  bool mark() override;
  bool release() override;
  [[nodiscard]] std::size_t live() const noexcept { return live_.size(); }

 private:
  using Blocks = std::map<std::byte*, std::size_t>;
  Blocks live_;
  std::vector<Blocks> marked_;
  Books& books_;
};

}  // namespace memtool::construct
