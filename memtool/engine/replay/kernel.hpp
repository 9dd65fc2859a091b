// What the kernel of a kind of work gets that is compiled once, for all strategies alike: it reaches heaps through
// indirect calls, and its rows say so.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "allocators/concept/any_heap.hpp"
#include "allocators/concept/findings.hpp"
#include "engine/replay/frame.hpp"

namespace memtool {

// Makes the heap of a row on a region. Throws std::invalid_argument where the row needs none.
using OpenHeap = std::function<std::unique_ptr<AnyHeap>(Region&, Findings&)>;

struct KernelCall : Frame<AnyHeap, OpenHeap> {
  using Frame::Frame;

  [[nodiscard]] std::string_view pass() const noexcept { return request.pass; }
  [[nodiscard]] std::string_view way() const noexcept { return request.way; }

  // The heap of this row, new on the emptied region. What another stands on is gone.
  [[nodiscard]] std::unique_ptr<AnyHeap> open() {
    region.reset();
    findings = {};
    return given(region, findings);
  }
  // Whether adaptors have found misuse: then the sample has failed, with their words.
  bool detected() {
    if (findings.first().empty()) return false;
    fail(result, MEMTOOL_WRONG, "%s", findings.first().c_str());
    return true;
  }

  Findings findings;
  // What the kind has compiled into the strategy (engine/registry/entry.hpp); nullptr: adaptors stand over it, or the
  // kind has nothing there.
  const void* inlined = nullptr;
};

}  // namespace memtool
