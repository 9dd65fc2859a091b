// A heap behind one indirect call, as behind std::pmr::memory_resource.
#pragma once

#include "allocators/concept/adaptor.hpp"

namespace memtool {

// This adaptor needs no layer of its own: the replay reaches every heap below an adaptor through one indirect call, and
// that call is the whole adaptor.
class VirtualCall {
 public:
  static constexpr AdaptorInfo info{
      .name = "virtual",
      .summary = "Adds one indirect call in front of each operation and nothing else, to show what inlining is worth.",
      .source = "ISO C++20, [mem.res]: std::pmr::memory_resource",
      .cost = "one indirect call for each operation; no memory",
      .when = "measuring what a program pays if it chooses its allocator at run time",
      .threads = Threads::as_below,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings&) { return below; }
};

}  // namespace memtool
