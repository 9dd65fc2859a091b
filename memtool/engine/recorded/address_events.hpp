// The observed operations of a program, by address, in the order of time, as recorders and importers deliver them.
//
// A matcher (matcher.hpp) turns them into canonical events, which identify objects.
#pragma once

#include <cstdint>

namespace memtool {

enum class Seen : std::uint8_t {
  allocate = 1,
  free = 2,
  allocate_zeroed = 3,
  // A reallocation is two events. Between them its block has no owner, while others may be given the old address.
  // `begin` has the old address; `end`, from the same thread, has the new address and the size.
  reallocate_begin = 4,
  reallocate_end = 5,
  thread_start = 6,  // size: number of the thread that is started
  thread_end = 7,
  map = 8,  // the program itself mapped `size` bytes of anonymous memory
  unmap = 9,
  refused = 10,  // the allocator had no memory
  fork = 11,
  off = 12,  // the events until `on` are missing
  on = 13,
};

inline constexpr std::uint64_t kNotCounted = ~std::uint64_t{0};

// 48 bytes, little endian.
struct AddressEvent {
  std::uint64_t ticks = 0;               // or nanoseconds, depending on the source; 0: it records no times
  std::uint64_t address = 0;             // of the block
  std::uint64_t size = 0;                // in bytes, as the program requested
  std::uint64_t caller = 0;              // return address; 0 if it is unknown
  std::uint64_t resident = kNotCounted;  // of a free: bytes of the block in resident pages
  std::uint32_t thread = 0;              // numbered from 0
  Seen kind{};
  std::uint8_t log2_alignment = 0;  // as requested; 0: none
  std::uint8_t is_cpp = 0;          // whether new or delete made the request
  std::uint8_t padding = 0;
};
static_assert(sizeof(AddressEvent) == 48);

}  // namespace memtool
