// The two forms of a sequence of memory events.
//
// TraceEvent is the canonical form. A generator or an importer emits it, the event hash is computed over it, and
// `memtool inspect` reads it. It identifies objects. Word is the replay form: the timed loop reads words from the event
// image. A word identifies a slot; slots are dense and are reused. The common event takes 8 bytes, and the image is
// read front to back. An image holds the events of all threads in their recorded order; a thread image
// (engine/events/thread_image.hpp) holds those of each thread separately.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/touch.hpp"

namespace memtool {

enum class Kind : std::uint8_t {
  deallocate = 0,
  allocate = 1,
  allocate_zeroed = 2,
  reallocate = 3,
  scope_begin = 4,
  scope_end = 5,  // canonical: the deallocations of the scope's objects lie between scope_end and scope_closed
  scope_closed = 6,
  mark = 7,      // object: number of the mark, from 0 in the order of the trace
  epilogue = 8,  // the events that follow free the objects still alive at the end of the workload
  // Only in the image: an event with an explicit size of 0 or beyond 32 bits, or with an alignment other than the
  // default.
  deallocate_wide = 9,
  allocate_wide = 10,
  allocate_zeroed_wide = 11,
  handover = 12,  // only in a thread image; see handover below
  write = 13,     // object: the thread of the event writes to it `size` times
  pace = 14,      // object: microseconds from the start of the run to the next event
  begin = 15,     // the events before only warm the heap; figures begin here
  // Only canonical, not in an image: what threads do besides. object: number of the thread that is started or joined. A
  // thread that no other starts runs from the beginning.
  thread_start = 16,
  thread_join = 17,
};

// 16 bytes, little endian on both supported architectures. The event hash is computed over these bytes.
//   word 0: bits 0-7 kind, bits 8-23 thread, bits 24-63 object
//   word 1: bits 0-57 size in bytes, bits 58-63 log2 of the alignment (4, the default, if the request names none)
// Objects are numbered from 0 in the order of their allocation. A deallocation has size 0 and alignment 0; a
// reallocation has the new size. Scope events and the epilogue have object 0. The order of events is certain only
// within one thread: the events of other threads between them are in one of several possible orders.
struct TraceEvent {
  std::uint64_t head;
  std::uint64_t request;

  static constexpr std::uint64_t kSizeMask = (std::uint64_t{1} << 58) - 1;
  static constexpr TraceEvent make(Kind kind, std::uint64_t object, std::uint64_t size = 0, unsigned log2_alignment = 0,
                                   std::uint64_t thread = 0) noexcept {
    return {static_cast<std::uint64_t>(kind) | thread << 8 | object << 24, size | std::uint64_t{log2_alignment} << 58};
  }
  [[nodiscard]] constexpr Kind kind() const noexcept { return static_cast<Kind>(head & 0xff); }
  [[nodiscard]] constexpr std::uint64_t thread() const noexcept { return head >> 8 & 0xffff; }
  [[nodiscard]] constexpr std::uint64_t object() const noexcept { return head >> 24; }
  [[nodiscard]] constexpr std::uint64_t size() const noexcept { return request & kSizeMask; }
  [[nodiscard]] constexpr unsigned log2_alignment() const noexcept { return static_cast<unsigned>(request >> 58); }
};
static_assert(sizeof(TraceEvent) == 16 && std::endian::native == std::endian::little);

// One word of the image: bits 0-3 kind, bits 4-31 slot, bits 32-63 size in bytes. Wide kinds and reallocations are
// followed by further words:
//   *_wide      + 1: size (58 bits) | log2 of the alignment
//   reallocate  + 2: new size | log2 of the alignment; old size
//   write       times in bits 32-63
//   pace        microseconds in bits 4-63
// Bits 4-63 of scope_end are the number of words to skip to the end of the scope's deallocations, for strategies that
// release a scope at once. A mark has its number in place of the slot. scope_closed is not in the image, and neither is
// begin: the header holds its position.
namespace word {
inline constexpr std::uint64_t kMostSlots = std::uint64_t{1} << 28;
inline constexpr unsigned kDefaultLog2Alignment = 4;

constexpr std::uint64_t make(Kind kind, std::uint64_t slot, std::uint64_t size) noexcept {
  return static_cast<std::uint64_t>(kind) | slot << 4 | size << 32;
}
constexpr Kind kind(std::uint64_t w) noexcept {
  return static_cast<Kind>(w & 0xf);
}
constexpr std::uint32_t slot(std::uint64_t w) noexcept {
  return static_cast<std::uint32_t>(w) >> 4;
}
constexpr std::uint64_t size(std::uint64_t w) noexcept {
  return w >> 32;
}
// The microseconds of a pace.
constexpr std::uint64_t make_pace(std::uint64_t microseconds) noexcept {
  return static_cast<std::uint64_t>(Kind::pace) | microseconds << 4;
}
constexpr std::uint64_t microseconds(std::uint64_t w) noexcept {
  return w >> 4;
}
// Whether the event that begins with this word calls the allocator.
constexpr bool is_operation(std::uint64_t w) noexcept {
  const Kind of = kind(w);
  return of <= Kind::reallocate || (of >= Kind::deallocate_wide && of <= Kind::allocate_zeroed_wide);
}
// The number of words of the event that begins with this one.
constexpr std::uint64_t length(std::uint64_t w) noexcept {
  const Kind of = kind(w);
  const bool wide = of == Kind::allocate_wide || of == Kind::allocate_zeroed_wide || of == Kind::deallocate_wide;
  return of == Kind::reallocate ? 3 : wide ? 2 : 1;
}
constexpr std::uint64_t wide_size(std::uint64_t w) noexcept {
  return w & TraceEvent::kSizeMask;
}
constexpr std::uint64_t wide_alignment(std::uint64_t w) noexcept {
  return std::uint64_t{1} << (w >> 58);
}
constexpr std::uint64_t wide(std::uint64_t size, unsigned log2_alignment) noexcept {
  return size | std::uint64_t{log2_alignment} << 58;
}
// An allocation or a deallocation. The common form fits into one word. A large size or an explicit alignment takes a
// second word. So does a size of 0, which is rare, so that the loop over the common form need not test for it.
struct Sized {
  constexpr Sized(Kind narrow_kind, Kind wide_kind, std::uint64_t slot, std::uint64_t size,
                  unsigned log2_alignment) noexcept {
    const bool narrow = size != 0 && size >> 32 == 0 && log2_alignment == kDefaultLog2Alignment;
    words = {narrow ? make(narrow_kind, slot, size) : make(wide_kind, slot, 0), wide(size, log2_alignment)};
    count = narrow ? 1 : 2;
  }
  std::array<std::uint64_t, 2> words;
  std::size_t count;
};
}  // namespace word

// A word of a thread image for an event between threads: bits 0-3 kind, bits 4-31 slot, bits 32-61 cell or lane, bits
// 62-63 which of these events.
namespace handover {
enum class Act : std::uint64_t {
  receive = 0,  // waits until the cell is filled and moves its block to the slot; + 1: object | source lane << 40
  publish = 1,  // fills the cell with the slot's block
  start = 2,    // starts a lane
  join = 3,     // waits for the end of a lane
};
inline constexpr std::uint64_t kMostCells = std::uint64_t{1} << 30;

constexpr std::uint64_t make(Act act, std::uint64_t slot, std::uint64_t cell) noexcept {
  return static_cast<std::uint64_t>(Kind::handover) | slot << 4 | cell << 32 | static_cast<std::uint64_t>(act) << 62;
}
constexpr Act act(std::uint64_t w) noexcept {
  return static_cast<Act>(w >> 62);
}
constexpr std::uint64_t cell(std::uint64_t w) noexcept {
  return w >> 32 & (kMostCells - 1);
}
constexpr std::uint64_t origin(std::uint64_t object, std::uint64_t lane) noexcept {
  return object | lane << 40;
}
constexpr std::uint64_t object(std::uint64_t w) noexcept {
  return w & ((std::uint64_t{1} << 40) - 1);
}
constexpr std::uint64_t lane(std::uint64_t w) noexcept {
  return w >> 40;
}
}  // namespace handover

// The header of an image; the words follow it directly. It holds everything that a plan must know about a trace before
// the replay.
struct ImageHeader {
  static constexpr std::uint64_t kMagic = 0x34474d494d544d4dULL;  // "MMTMIMG4"
  std::uint64_t magic;
  std::uint64_t words;            // number of 8-byte words that follow, with the epilogue
  std::uint64_t epilogue_word;    // index of the epilogue's first word; == words if no object is left
  std::uint64_t begin_word;       // index of the first measured word; the events before it only warm the heap
  std::uint64_t warm_operations;  // number of operations before it
  std::uint64_t operations;       // allocate + deallocate + reallocate from there to the epilogue
  std::uint64_t epilogue_operations;
  std::uint64_t allocations;  // allocate and allocate_zeroed
  std::uint64_t reallocations;
  std::uint64_t slots;              // size of the slot table
  std::uint64_t peak_live_bytes;    // maximum of the live bytes L in the measured part
  std::uint64_t peak_live_word;     // index just past the event at which L first reaches its maximum
  std::uint64_t peak_live_objects;  // largest number of objects alive at once in the measured part
  std::uint64_t total_bytes;        // sum of all requested bytes
  std::uint64_t smallest_size;
  std::uint64_t largest_size;
  std::uint64_t largest_alignment;
  std::uint64_t scopes;
  std::uint64_t marks;
  // Number of the first operation that frees an object that is neither the youngest nor the oldest, or resizes one that
  // is not the youngest; ~0: none.
  std::uint64_t first_not_lifo;
  std::uint64_t first_not_fifo;
  std::uint64_t touch;  // Touch
};
static_assert(sizeof(ImageHeader) == 22 * 8);

}  // namespace memtool
