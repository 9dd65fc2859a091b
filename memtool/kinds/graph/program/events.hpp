// Heap events as a graph program: they do not say what objects refer to, so each is held by a root of its own, and a
// free is a root that is dropped.
#pragma once

#include <cstdint>
#include <vector>

#include "kinds/graph/program/builder.hpp"

namespace memtool::graph {

// Of an event image (engine/events/events.hpp), until its epilogue. A resize makes a new object in the old one's root,
// and copies nothing; a scope that ends is a safe point; a write is an access of
// one of the first 1,048,575. Throws std::invalid_argument.
std::vector<std::uint64_t> program_of_events(const void* image, Frees frees);

}  // namespace memtool::graph
