// The header that collectors put before an object: its size, its number of references, and their notes, in one word.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kinds/graph/play/object.hpp"

namespace memtool::graph {

inline constexpr std::size_t kGranule = 16;  // objects take a multiple of it

// The first word of a cell. It is never 0, because 0 marks a free cell.
class Header {
 public:
  static constexpr std::uint64_t make(std::uint64_t granules, std::uint64_t references) noexcept {
    return granules << 32 | references << 8;
  }
  static constexpr std::uint64_t moved_to(const void* cell) noexcept {
    return reinterpret_cast<std::uint64_t>(cell) | 1;
  }
  explicit constexpr Header(std::uint64_t word) noexcept : word_(word) {}
  [[nodiscard]] constexpr bool is_moved() const noexcept { return (word_ & 1) != 0; }
  [[nodiscard]] std::byte* new_cell() const noexcept { return reinterpret_cast<std::byte*>(word_ & ~std::uint64_t{1}); }
  [[nodiscard]] constexpr std::size_t bytes() const noexcept { return (word_ >> 32) * kGranule; }
  [[nodiscard]] constexpr std::uint32_t references() const noexcept { return word_ >> 8 & 0xffffff; }

 private:
  std::uint64_t word_;
};

inline std::uint64_t& word_at(void* cell) noexcept {
  return *static_cast<std::uint64_t*>(cell);
}
inline std::uint64_t word_at(const void* cell) noexcept {
  return *static_cast<const std::uint64_t*>(cell);
}

// H bytes lie between the start of a cell and the object in it.
template <std::size_t H>
struct Layout {
  static constexpr std::size_t kHeader = H;
  static Object* object(void* cell) noexcept { return reinterpret_cast<Object*>(static_cast<std::byte*>(cell) + H); }
  static std::byte* cell(Object* object) noexcept { return reinterpret_cast<std::byte*>(object) - H; }
  static Header header(Object* object) noexcept { return Header(word_at(cell(object))); }
  static constexpr std::size_t granules(std::size_t body) noexcept { return (body + H + kGranule - 1) / kGranule; }
  template <class Visit>
  static void each_field(Object* of, Visit visit) {
    const std::uint32_t count = header(of).references();
    for (std::uint32_t i = 0; i < count; ++i) visit(field_of(of, i));
  }
};

inline void poison(void* first, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes / 8; ++i) static_cast<std::uint64_t*>(first)[i] = kPoison;
}

}  // namespace memtool::graph
