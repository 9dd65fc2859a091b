// Which thread of a replay runs here.
#pragma once

#include <cstdint>

namespace memtool {

// From 1 on; 0 outside of a replay on several threads. The TLS model makes it one load in a library, too.
inline constinit thread_local std::uint32_t lane_number [[gnu::tls_model("initial-exec")]] = 0;

}  // namespace memtool
