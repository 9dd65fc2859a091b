// Objects of a graph as every row sees them: references in front, then a payload of words.
#pragma once

#include <cstddef>
#include <cstdint>

namespace memtool::graph {

// Known by the address of its first field. What a collector has before that is its own.
struct Object;

inline Object*& field_of(Object* object, std::size_t index) noexcept {
  return reinterpret_cast<Object**>(object)[index];
}
inline std::uint64_t& word_of(Object* object, std::size_t index) noexcept {
  return reinterpret_cast<std::uint64_t*>(object)[index];
}

// What freed memory is filled with where everything is checked: no slot, and no address that is mapped.
inline constexpr std::uint64_t kPoison = 0xfeedfacedeadbeef;

}  // namespace memtool::graph
