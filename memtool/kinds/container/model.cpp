#include "kinds/container/model.hpp"

#include <numeric>

namespace memtool::containers {

bool Model::is_keyed() const noexcept {
  return type_ == Type::map || type_ == Type::unordered_map || type_ == Type::flat_map || type_ == Type::map_of_vectors;
}

// The value read from a new element.
std::uint64_t Model::element(std::uint64_t operation) const noexcept {
  const std::uint64_t key = word::key(operation);
  const std::uint64_t letter = 'a' + key % 26;
  switch (type_) {
    case Type::string:
      return letter;
    case Type::vector_of_strings:
      return letter * word::length(operation);
    case Type::map_of_vectors:
      return value_of(key) * word::length(operation);
    case Type::map:
    case Type::unordered_map:
    case Type::flat_map:
      return value_of(key);
    default:
      return key;
  }
}

void Model::run(std::span<const std::uint64_t> operations, Tally& tally) {
  for (const std::uint64_t operation : operations) {
    const std::size_t container = word::container(operation);
    if (is_keyed()) {
      run_on_map(maps_[container], operation, tally);
    } else {
      run_on_row(rows_[container], operation, tally);
    }
  }
}

void Model::run_on_row(std::deque<std::uint64_t>& row, std::uint64_t operation, Tally& tally) const {
  const std::uint64_t key = word::key(operation);
  const auto at = [&](std::uint64_t most) { return row.begin() + static_cast<std::ptrdiff_t>(key % most); };
  const bool has_front = type_ == Type::list || type_ == Type::deque;
  switch (word::action(operation)) {
    case Action::push:
      row.push_back(element(operation));
      break;
    case Action::insert:
      row.insert(at(row.size() + 1), element(operation));
      break;
    case Action::pop:
      if (row.empty()) break;
      has_front ? row.pop_front() : row.pop_back();
      ++tally.sum;
      break;
    case Action::erase:
      if (row.empty()) break;
      row.erase(at(row.size()));
      ++tally.sum;
      break;
    case Action::find:
      tally.sum += row.empty() ? 1 : *at(row.size());
      break;
    case Action::traverse:
      tally.sum += key * std::accumulate(row.begin(), row.end(), std::uint64_t{0});
      tally.elements += key * row.size();
      break;
    case Action::copy:
      tally.sum += row.size();
      tally.elements += row.size();
      break;
    case Action::clear:
      tally.elements += row.size();
      row.clear();
      break;
    case Action::churn:
      break;
  }
}

void Model::run_on_map(std::map<std::uint64_t, std::uint64_t>& map, std::uint64_t operation, Tally& tally) const {
  const std::uint64_t key = word::key(operation);
  switch (word::action(operation)) {
    case Action::push:
    case Action::insert:
      map.emplace(key, element(operation));
      break;
    case Action::pop:
    case Action::erase:
      tally.sum += map.erase(key);
      break;
    case Action::find:
      tally.sum += map.contains(key) ? map.at(key) : 1;
      break;
    case Action::traverse:
      for (const auto& [_, value] : map) tally.sum += word::key(operation) * value;
      tally.elements += key * map.size();
      break;
    case Action::copy:
      tally.sum += map.size();
      tally.elements += map.size();
      break;
    case Action::clear:
      tally.elements += map.size();
      map.clear();
      break;
    case Action::churn:
      break;
  }
}

std::vector<std::uint64_t> Model::contents(std::size_t container) const {
  std::vector<std::uint64_t> held(rows_[container].begin(), rows_[container].end());
  for (const auto& [key, value] : maps_[container]) held.insert(held.end(), {key, value});
  return held;
}

}  // namespace memtool::containers
