// The conservative collector of Boehm, Demers and Weiser in the system's libgc: the reference that we did not write.
#pragma once

#include <memory>

#include "kinds/graph/collectors/collectors.hpp"

namespace memtool::graph {

inline constexpr std::string_view kBoehmLibrary = "libgc.so.1";

// Throws std::runtime_error with one line if the library cannot be loaded.
std::unique_ptr<AnyCollector> open_boehm(Surroundings& in);

}  // namespace memtool::graph
