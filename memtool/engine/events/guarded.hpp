// The C ABI, through which no exception passes.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>

namespace memtool {

// Runs `work`. Returns 0; otherwise 2 and one line in `message` (400 bytes), if there is a place for it.
template <class Work>
std::uint32_t guarded(Work work, char* message = nullptr) noexcept {
  constexpr std::size_t kMessageBytes = 400;
  constexpr std::uint32_t kFailed = 2;
  try {
    work();
    return 0;
  } catch (const std::exception& problem) {
    if (message != nullptr) std::snprintf(message, kMessageBytes, "%s", problem.what());
    return kFailed;
  }
}

}  // namespace memtool
