// What a program was seen to do, by addresses: what recorders and importers deliver, in the order of time.
//
// A matcher (matcher.hpp) makes canonical events of it, which name objects.
#pragma once

#include <cstdint>

namespace memtool {

enum class Seen : std::uint8_t {
  allocate = 1,
  free = 2,
  allocate_zeroed = 3,
  // A reallocation is two: between them its block is nobody's, while others may be given the address that it leaves.
  // `begin` has the old address, `end` of the same thread the new one and the size.
  reallocate_begin = 4,
  reallocate_end = 5,
  thread_start = 6,  // size: number of the thread that is started
  thread_end = 7,
  map = 8,  // the program itself mapped `size` bytes of anonymous memory
  unmap = 9,
  refused = 10,  // the allocator had no memory
  fork = 11,
  off = 12,  // what follows until `on` is missing
  on = 13,
};

inline constexpr std::uint64_t kNotCounted = ~std::uint64_t{0};

// 48 bytes, little endian.
struct AddressEvent {
  std::uint64_t ticks = 0;               // or nanoseconds, as the source has it; 0 where it knows none
  std::uint64_t address = 0;             // of the block
  std::uint64_t size = 0;                // in bytes, as the program asked for
  std::uint64_t caller = 0;              // return address; 0 where it is not known
  std::uint64_t resident = kNotCounted;  // of a free: bytes of the block in resident pages
  std::uint32_t thread = 0;              // numbered from 0
  Seen kind{};
  std::uint8_t log2_alignment = 0;  // that was asked for; 0: none
  std::uint8_t is_cpp = 0;          // whether new or delete asked for it
  std::uint8_t padding = 0;
};
static_assert(sizeof(AddressEvent) == 48);

}  // namespace memtool
