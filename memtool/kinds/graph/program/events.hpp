// Heap events as a graph program. Events do not tell the references between objects. So a separate root holds each
// object, and a free clears the root.
#pragma once

#include <cstdint>
#include <vector>

#include "kinds/graph/program/builder.hpp"

namespace memtool::graph {

// Reads an event image (engine/events/events.hpp) up to its epilogue. A resize allocates a new object in the old
// object's root, without a copy. The end of a scope is a safe point. A write is an access, for the first 1,048,575
// objects. Throws std::invalid_argument.
std::vector<std::uint64_t> program_of_events(const void* image, Frees frees);

}  // namespace memtool::graph
