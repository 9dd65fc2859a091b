// A heap behind one indirect call, as behind std::pmr::memory_resource.
#pragma once

#include "allocators/concept/adaptor.hpp"

namespace memtool {

// No layer of its own: the replay reaches whatever adaptors stand on by an indirect call, and this is that call alone.
class VirtualCall {
 public:
  static constexpr AdaptorInfo info{
      .name = "virtual",
      .summary = "One indirect call in front of each operation, and nothing else: what inlining is worth.",
      .source = "ISO C++20, [mem.res]: std::pmr::memory_resource",
      .cost = "one indirect call an operation; no memory",
      .when = "to know what a program pays that chooses its allocator at run time",
      .threads = Threads::as_below,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings&) { return below; }
};

}  // namespace memtool
