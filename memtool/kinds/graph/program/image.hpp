// The image of a graph workload that a worker maps: a header, and one list of operations that every row plays,
// collector or not.
#pragma once

#include <cstdint>

namespace memtool::graph {

// A program works on roots (its globals and local variables), objects and their fields. An object has references first,
// and then a payload. A new object is fully initialized: references to null, the payload to its slot.
enum class Op : std::uint64_t {
  end,
  allocate,  // root = new object; a second word holds its references and its slot
  load,      // root = root.field
  store,     // root.field = root, or null
  copy,      // root = root
  clear,     // root = null
  access,    // reads the payload of a root's object
  free,      // for explicit allocators: this many words follow, one for each object; collectors skip them
  control,   // Control
  repeat,    // everything up to its `again`, this many times
  again,
};
enum class Control : std::uint64_t {
  safe_point,  // the end of a frame or of a request
  collect,     // the program requests a collection
  disable,     // no collection may begin from here on, as long as there is memory
  enable,
  scope_begin,  // objects allocated from here on are dead at the end of the scope
  scope_end,
};

inline constexpr std::uint64_t kMagic = 0x6d74677261706831;
struct Head {
  std::uint64_t magic;
  std::uint64_t words;
  std::uint64_t roots;
  std::uint64_t slots;
  std::uint64_t operations;  // of the program, without frees and controls
  std::uint64_t allocations;
  std::uint64_t allocated_bytes;  // as requested, without headers
  std::uint64_t peak_live_objects;
  std::uint64_t peak_live_bytes;
  std::uint64_t peak_live_with_header;  // the same with a header of 8 bytes for each object, rounded up to 16
  std::uint64_t peak_live_with_count;   // the same with a header of 16 bytes
  std::uint64_t frees;
  std::uint64_t stores;
  std::uint64_t root_writes;
  std::uint64_t scopes;
  std::uint64_t safe_points;
  std::uint64_t smallest;
  std::uint64_t largest;
  std::uint64_t first_not_lifo;  // operation whose free is not of the youngest object; ~0: there is none
  std::uint64_t first_not_fifo;
  std::uint64_t checksum;  // sum of all accesses
};

inline constexpr std::uint64_t kNone = ~std::uint64_t{0};
inline constexpr std::uint32_t kNullRoot = 0xfffff;
inline constexpr std::uint32_t kMostFields = 0xfffff;
inline constexpr std::uint32_t kMostRoots = 1u << 28;
inline constexpr unsigned kMostLoops = 4;  // nested

namespace word {
constexpr std::uint64_t make(Op op, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0) noexcept {
  return static_cast<std::uint64_t>(op) << 60 | a << 40 | b << 20 | c;
}
constexpr std::uint64_t with_size(Op op, std::uint64_t root, std::uint64_t size) noexcept {
  return static_cast<std::uint64_t>(op) << 60 | root << 32 | size;
}
constexpr Op op(std::uint64_t word) noexcept {
  return static_cast<Op>(word >> 60);
}
constexpr std::uint32_t a(std::uint64_t word) noexcept {
  return word >> 40 & 0xfffff;
}
constexpr std::uint32_t b(std::uint64_t word) noexcept {
  return word >> 20 & 0xfffff;
}
constexpr std::uint32_t c(std::uint64_t word) noexcept {
  return word & 0xfffff;
}
constexpr std::uint32_t root(std::uint64_t word) noexcept {
  return word >> 32 & 0xfffffff;
}
constexpr std::uint32_t low(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word);
}
constexpr std::uint32_t high(std::uint64_t word) noexcept {
  return static_cast<std::uint32_t>(word >> 32);
}
constexpr std::uint64_t pair(std::uint64_t above, std::uint64_t below) noexcept {
  return above << 32 | below;
}
}  // namespace word

// The size of an object in a heap with headers.
constexpr std::uint64_t in_heap(std::uint64_t body, std::uint64_t header) noexcept {
  return (body + header + 15) / 16 * 16;
}

class Program {
 public:
  explicit Program(const void* image) noexcept : head_(static_cast<const Head*>(image)) {}
  [[nodiscard]] const Head& head() const noexcept { return *head_; }
  [[nodiscard]] const std::uint64_t* begin() const noexcept {
    return reinterpret_cast<const std::uint64_t*>(head_ + 1);
  }

 private:
  const Head* head_;
};

}  // namespace memtool::graph
