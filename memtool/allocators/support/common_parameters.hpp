// Parameters that several strategies share, with the same descriptions and bounds.
#pragma once

#include "allocators/concept/parameters.hpp"

namespace memtool {

inline constexpr ParameterInfo kChunk{.name = "chunk",
                                      .summary = "taken from the region at a time",
                                      .default_value = 64 * 1024,
                                      .minimum = 4096,
                                      .maximum = 1 << 30};
inline constexpr ParameterInfo kClassChunk{.name = "chunk",
                                           .summary = "taken for a class at a time",
                                           .default_value = 64 * 1024,
                                           .minimum = 4096,
                                           .maximum = 1 << 24};
inline constexpr ParameterInfo kGrow{.name = "grow",
                                     .summary = "fewest bytes by which the heap grows; 0: never",
                                     .default_value = 64 * 1024,
                                     .minimum = 0,
                                     .maximum = std::uint64_t{1} << 32};
inline constexpr ParameterInfo kInitial{
    .name = "initial",
    .summary = "what the heap begins with, its tables included: one pool, whose block is on its list; 0: nothing",
    .default_value = 0,
    .minimum = 0,
    .maximum = std::uint64_t{1} << 40};

}  // namespace memtool
