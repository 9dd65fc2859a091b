// Parameters that several strategies share, with the same descriptions and bounds.
#pragma once

#include "allocators/concept/parameters.hpp"

namespace memtool {

inline constexpr ParameterInfo kChunk{.name = "chunk",
                                      .summary = "bytes taken from the region at a time",
                                      .default_value = 64 * 1024,
                                      .minimum = 4096,
                                      .maximum = 1 << 30};
inline constexpr ParameterInfo kClassChunk{.name = "chunk",
                                           .summary = "bytes taken for a size class at a time",
                                           .default_value = 64 * 1024,
                                           .minimum = 4096,
                                           .maximum = 1 << 24};
inline constexpr ParameterInfo kGrow{.name = "grow",
                                     .summary = "smallest number of bytes by which the heap grows; 0: it never grows",
                                     .default_value = 64 * 1024,
                                     .minimum = 0,
                                     .maximum = std::uint64_t{1} << 32};
inline constexpr ParameterInfo kInitial{
    .name = "initial",
    .summary = "bytes of the heap at the start, with its tables, as one free block; 0: none",
    .default_value = 0,
    .minimum = 0,
    .maximum = std::uint64_t{1} << 40};

}  // namespace memtool
