// The image of a container workload that a worker maps: a header, the steps of its script, and their operations.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace memtool::containers {

// memtool/kinds/container/image.py has the same lists in the same order, and explains them.
enum class Type : std::uint64_t {
  vector,
  string,
  deque,
  list,
  map,
  unordered_map,
  flat_map,
  vector_of_strings,
  map_of_vectors,
};
enum class Action : std::uint64_t { push, pop, insert, find, erase, traverse, copy, clear, churn };
enum class Order : std::uint64_t { each, round, random };
// The groups to which the time of a step belongs: the actions, traversals after removals, and both ends.
enum class Group : std::uint64_t { of_action, churned = 9, open, close };
inline constexpr std::size_t kGroups = 12;

inline constexpr std::uint64_t kMagic = 0x6d74636f6e743031;
struct Head {
  std::uint64_t magic;
  std::uint64_t type;
  std::uint64_t containers;
  std::uint64_t steps;
  std::uint64_t operations;
  std::uint64_t checksum;  // the result that every replay must reach
};
struct Step {
  std::uint64_t group;
  std::uint64_t first;  // number of the first operation
  std::uint64_t last;   // one behind the last operation
};

// An operation is one word: its action, the number of its container, a length for elements that have one, and a key.
namespace word {
inline constexpr unsigned kContainerBits = 16;
inline constexpr unsigned kLengthBits = 12;
constexpr std::uint64_t make(Action action, std::uint64_t container, std::uint64_t length, std::uint64_t key) noexcept {
  return static_cast<std::uint64_t>(action) << 60 | length << 48 | container << 32 | (key & 0xffffffff);
}
constexpr Action action(std::uint64_t operation) noexcept {
  return static_cast<Action>(operation >> 60);
}
constexpr std::size_t length(std::uint64_t operation) noexcept {
  return operation >> 48 & 0xfff;
}
constexpr std::size_t container(std::uint64_t operation) noexcept {
  return operation >> 32 & 0xffff;
}
constexpr std::uint64_t key(std::uint64_t operation) noexcept {
  return operation & 0xffffffff;
}
}  // namespace word

class Image {
 public:
  explicit Image(const void* memory) noexcept : head_(static_cast<const Head*>(memory)) {}
  [[nodiscard]] const Head& head() const noexcept { return *head_; }
  [[nodiscard]] Type type() const noexcept { return static_cast<Type>(head_->type); }
  [[nodiscard]] std::span<const Step> steps() const noexcept {
    return {reinterpret_cast<const Step*>(head_ + 1), static_cast<std::size_t>(head_->steps)};
  }
  [[nodiscard]] std::span<const std::uint64_t> operations(const Step& step) const noexcept {
    const auto* all = reinterpret_cast<const std::uint64_t*>(steps().data() + head_->steps);
    return {all + step.first, all + step.last};
  }

 private:
  const Head* head_;
};

// The value of a key: in a map, and in each place of a vector inside one.
constexpr std::uint64_t value_of(std::uint64_t key) noexcept {
  return key ^ 0x5bd1e995;
}
constexpr char letter_of(std::uint64_t key) noexcept {
  return static_cast<char>('a' + key % 26);
}

}  // namespace memtool::containers
