// The expected contents of the containers: the same operations on plain collections of numbers, over another heap.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "kinds/container/script.hpp"

namespace memtool::containers {

class Model {
 public:
  Model(Type type, std::size_t containers) : type_(type), rows_(containers), maps_(containers) {}

  void run(std::span<const std::uint64_t> operations, Tally& tally);
  [[nodiscard]] std::vector<std::uint64_t> contents(std::size_t container) const;

 private:
  [[nodiscard]] bool is_keyed() const noexcept;
  [[nodiscard]] std::uint64_t element(std::uint64_t operation) const noexcept;
  void run_on_row(std::deque<std::uint64_t>& row, std::uint64_t operation, Tally& tally) const;
  void run_on_map(std::map<std::uint64_t, std::uint64_t>& map, std::uint64_t operation, Tally& tally) const;

  Type type_;
  std::vector<std::deque<std::uint64_t>> rows_;
  std::vector<std::map<std::uint64_t, std::uint64_t>> maps_;
};

}  // namespace memtool::containers
