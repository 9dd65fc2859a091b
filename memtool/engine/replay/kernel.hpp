// The input of a kernel that is compiled once for all strategies. It reaches heaps through indirect calls, and its rows
// say so.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "allocators/concept/any_heap.hpp"
#include "allocators/concept/findings.hpp"
#include "engine/replay/frame.hpp"

namespace memtool {

// Creates the heap of a row on a region. Throws std::invalid_argument if the row needs none.
using OpenHeap = std::function<std::unique_ptr<AnyHeap>(Region&, Findings&)>;

struct KernelCall : Frame<AnyHeap, OpenHeap> {
  using Frame::Frame;

  [[nodiscard]] std::string_view pass() const noexcept { return request.pass; }
  [[nodiscard]] std::string_view way() const noexcept { return request.way; }

  // A new heap for this row on the emptied region. Any earlier heap on the region is gone.
  [[nodiscard]] std::unique_ptr<AnyHeap> open() {
    region.reset();
    findings = {};
    return given(region, findings);
  }
  // Whether adaptors have detected misuse. If so, the sample has failed with their message.
  bool detected() {
    if (findings.first().empty()) return false;
    fail(result, MEMTOOL_WRONG, "%s", findings.first().c_str());
    return true;
  }

  Findings findings;
  // The code that the kind has compiled into the strategy (engine/registry/entry.hpp); nullptr: none, or there are
  // adaptors over the strategy.
  const void* inlined = nullptr;
};

}  // namespace memtool
