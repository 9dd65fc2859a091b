// The figures that a malloc reports about itself: mallinfo2, mallctl, MallocExtension, mi_process_info, from the
// library that actually serves malloc in this process. In bytes; kNotApplicable if it does not report one.
#pragma once

#include "engine/abi/capi.h"

namespace memtool {

class OwnStatistics {
 public:
  // Looks up the functions once for all calls of read(), and records the current figures as the baseline.
  OwnStatistics() noexcept;
  // The figures less those at construction, which are the worker's own; never below 0.
  [[nodiscard]] OwnFigures read() const noexcept;

 private:
  [[nodiscard]] OwnFigures read_all() const noexcept;
  enum class Kind { none, glibc, jemalloc, tcmalloc, mimalloc };
  void* call_ = nullptr;
  Kind kind_ = Kind::none;
  OwnFigures before_{};
};

}  // namespace memtool
