// The shapes of graph programs, built from the words of memtool/kinds/graph/program.py.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kinds/graph/program/builder.hpp"

namespace memtool::graph {

// `words`: shape, seed, frees, then the arguments of the shape. Throws std::invalid_argument with one line.
std::vector<std::uint64_t> make_program(std::span<const std::uint64_t> words);

}  // namespace memtool::graph
