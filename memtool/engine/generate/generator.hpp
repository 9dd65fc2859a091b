// Generates the canonical events of a workload from a program: a block of 64-bit words that
// memtool/workload/language/program.py writes. The offsets of laws (engine/generate/random.hpp) count from its start.
//
//   0 seed   1 source   2 where the marks begin, from the start of the program (0: there are none)
//   3 ... the source's own words:
//   0 classes  number of classes, number of phases, threads, the classes,
//              then for each phase: kind (0 ramp, 1 steady, 2 drain), ticks, law of the class
//   1 fill     size law, allocations, law of how many to fill to, how many to empty to, victim (0 oldest, 1 youngest,
//              2 random, 3 both ends, 4 random but never the youngest), log2 of the alignment, every how many times the
//              next thread does the emptying (0: never), number of consumers that do it in turns (0: none)
//   2 frames   frames, depth of nesting, law of the objects of a frame, law of the scopes in a frame or scope, law of
//              the objects of a scope, number of classes, law of the class, the classes
//   3 toggle   size law, allocations, slots, law of the slot, log2 of the alignment, share of the slots that is filled
//              at first (a probability times 2^64 - 1)
//   4 threads  workers, threads of each, rounds, successors (1: a thread starts its own; 0: the first thread starts all
//              threads of a round and waits for their ends), source of the workers' events (fill, toggle, buffer,
//              refill or sweep), and for each worker where its words begin, from the start of the program
//   5 exchange size law, allocations, threads, rounds, slots, share freed, share exchanged (probabilities times
//              2^64 - 1), log2 of the alignment, share of a thread's allocations that it retains to its end as
//              numerator and denominator, size law of these, share of the slots' objects that survives a round (a
//              probability times 2^64 - 1), 1 when the second thread does twice as much as the first and so on, 1 when
//              the first thread is one of them
//   6 sharing  size law, allocations, threads, writes to an object, 1 when each thread begins with an object that the
//              first thread has allocated, log2 of the alignment
//   7 buffer   size law, allocations, slots, slots kept, 1 when what is kept in the first slots is overwritten, log2 of
//              the alignment
//   8 refill   size law, allocations, slots, law of the slots emptied in a loop, law of those filled, every how many
//              loops as many objects are made for the next thread to free (0: never), log2 of the alignment, every how
//              many loops it frees them
//   9 sweep    size law, allocations, how many of them before the first sweep, largest size that is doubled, log2 of
//              the alignment
//
// A class has kClassWords words: size law, lifetime law (0: for ever), log2 of the alignment, zeroed, resize threshold,
// law of the number of resizes, growth as numerator and denominator, freed by another thread, resized directly after
// its allocation (0: spread over its life; in frames always directly), bytes added at each resize, whether the lifetime
// law draws the tick by which the object dies. An object is resized if its draw is at most the threshold of its class
// (a probability times 2^64 - 1; 0: no object is).
//
// The words of the marks: their number; what they count (0 allocations, 1 frames); then in ascending order, for each
// mark, after how many of these it stands. A mark stands directly after that allocation, or at the end of that frame
// before the rest of its objects are freed. Marks are numbered from 0.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "engine/events/events.hpp"

namespace memtool {

class Generator {
 public:
  virtual ~Generator() = default;
  // Appends the next events: at least one while there are any, and none at the end.
  virtual void next(std::vector<TraceEvent>& events) = 0;
  // Number of resizes that were drawn but are not among the events, because their objects do not live for enough ticks.
  [[nodiscard]] virtual std::uint64_t resizes_left_out() const noexcept { return 0; }
};

// `words` must outlive the generator. Throws std::invalid_argument for a program with an unknown source.
std::unique_ptr<Generator> make_generator(const std::uint64_t* words, std::uint64_t count);

}  // namespace memtool
