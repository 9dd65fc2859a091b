// The conservative collector of Boehm, Demers and Weiser, as the system's libgc has it: the reference that is not ours.
#pragma once

#include <memory>

#include "kinds/graph/collectors/collectors.hpp"

namespace memtool::graph {

inline constexpr std::string_view kBoehmLibrary = "libgc.so.1";

// Throws std::runtime_error with one line where the library cannot be loaded.
std::unique_ptr<AnyCollector> open_boehm(Surroundings& in);

}  // namespace memtool::graph
