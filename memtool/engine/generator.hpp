// Workloads as canonical events. A program is a block of 64-bit words that memtool/workload/program.py writes; offsets
// in it count from its start.
//
//   0 seed   1 source (0 classes, 1 pattern, 2 frames)   2 ... the source's own words:
//   classes  number of classes, number of phases, then for each class kClassWords words:
//              size law, lifetime law (0: forever), log2 alignment, zeroed, resize threshold, resize numerator, resize
//              denominator
//            then for each phase: kind (0 ramp, 1 steady, 2 drain), ticks, law of the class
//   pattern  size law, allocations, high, low, victim (0 oldest, 1 youngest, 2 random), log2 alignment
//   frames   frames, law of objects a frame, law of scopes in a frame, law of objects in a scope, number of classes,
//   law of the class,
//            then the classes as above; lifetimes count within the frame
// A class whose draw falls below its resize threshold (a probability times 2^64 - 1) has its objects resized once, by
// the given factor, halfway through their lives.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/events.hpp"

namespace memtool {

class Generator {
 public:
  virtual ~Generator() = default;
  // Appends the next events, at least one while there are any; an empty result means the end.
  virtual void next(std::vector<TraceEvent>& events) = 0;
};

// `words` outlives the generator. Throws std::invalid_argument for a program that is not one.
std::unique_ptr<Generator> make_generator(const std::uint64_t* words, std::uint64_t count);

}  // namespace memtool
