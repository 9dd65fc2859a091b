// What a malloc says of itself: mallinfo2, mallctl, MallocExtension, mi_process_info, of the library that really serves
// malloc in this process. Bytes; kNotApplicable where it does not say.
#pragma once

#include "engine/abi/capi.h"

namespace memtool {

class OwnStatistics {
 public:
  // Looks up the calls, so that read() need not, and notes what they say now.
  OwnStatistics() noexcept;
  // Less what it said at the construction: what the worker itself has; never below 0.
  [[nodiscard]] OwnFigures read() const noexcept;

 private:
  [[nodiscard]] OwnFigures read_all() const noexcept;
  enum class Kind { none, glibc, jemalloc, tcmalloc, mimalloc };
  void* call_ = nullptr;
  Kind kind_ = Kind::none;
  OwnFigures before_{};
};

}  // namespace memtool
