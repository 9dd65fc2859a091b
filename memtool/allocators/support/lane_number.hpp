// The number of the replay thread that is running.
#pragma once

#include <cstdint>

namespace memtool {

// Counts from 1; 0 outside of a replay on several threads. The TLS model makes reading it one load, even in a library.
inline constinit thread_local std::uint32_t lane_number [[gnu::tls_model("initial-exec")]] = 0;

}  // namespace memtool
