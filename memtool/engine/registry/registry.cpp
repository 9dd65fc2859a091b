#include "engine/registry/registry.hpp"

#include <algorithm>
#include <array>
#include <memory_resource>
#include <optional>

namespace memtool {
namespace {

// Not in memory from malloc, because malloc would then hold free blocks before anything is measured.
std::pmr::vector<StrategyEntry>& registered() {
  static std::array<std::byte, 64 << 10> room;
  static std::pmr::monotonic_buffer_resource memory(room.data(), room.size());
  static std::pmr::vector<StrategyEntry> entries(&memory);
  return entries;
}

std::optional<StrategyEntry>& adopted_entry() {
  static std::optional<StrategyEntry> entry;
  return entry;
}

}  // namespace

void register_strategy(const StrategyEntry& entry) {
  auto& entries = registered();
  const auto place = std::ranges::upper_bound(entries, entry.order, {}, &StrategyEntry::order);
  entries.insert(place, entry);
}

void set_adopted(const StrategyEntry& entry) {
  adopted_entry() = entry;
}

std::span<const StrategyEntry> strategies() {
  return registered();
}

const StrategyEntry* find_strategy(std::string_view name) {
  for (const auto& entry : strategies())
    if (entry.info->name == name) return &entry;
  const auto& adopted = adopted_entry();
  return adopted && adopted->info->name == name ? &*adopted : nullptr;
}

}  // namespace memtool
