// The input of a kernel that is compiled once for all strategies. It reaches heaps through indirect calls, and its rows
// say so.
#pragma once

#include <functional>
#include <memory>
#include <span>
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

// As fail(), for functions that return whether they have succeeded: returns false.
[[gnu::format(printf, 3, 4)]] inline bool refused(ReplayResult& result, std::uint32_t status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fail_as(result, status, format, arguments);
  va_end(arguments);
  return false;
}

// A pass of a kind, as a kernel lists them.
struct KernelPass {
  std::string_view name;
  std::size_t figures_bytes;
  void (*run)(KernelCall&);
};
// Runs the pass of the request. `kind`: what the kernel measures, in the plural.
inline void run_pass_of(std::span<const KernelPass> passes, const char* kind, KernelCall& call) {
  for (const KernelPass& pass : passes)
    if (pass.name == call.pass() && pass.figures_bytes == call.request.figures_bytes) return pass.run(call);
  fail(call.result, MEMTOOL_BAD_REQUEST, "%s have no pass %s whose figures have %llu bytes", kind, call.request.pass,
       as_printed(call.request.figures_bytes));
}

}  // namespace memtool
