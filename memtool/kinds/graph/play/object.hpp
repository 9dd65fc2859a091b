// The objects of a graph in every row: references first, then a payload of words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memtool::graph {

// Identified by the address of its first field. The part before it belongs to the collector.
struct Object;

inline Object*& field_of(Object* object, std::size_t index) noexcept {
  return reinterpret_cast<Object**>(object)[index];
}
inline std::uint64_t& word_of(Object* object, std::size_t index) noexcept {
  return reinterpret_cast<std::uint64_t*>(object)[index];
}

// Fills freed memory in check passes. It is not a valid slot, and not a mapped address.
inline constexpr std::uint64_t kPoison = 0xfeedfacedeadbeef;

}  // namespace memtool::graph
