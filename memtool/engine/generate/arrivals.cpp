#include "engine/generate/arrivals.hpp"

#include "engine/abi/capi.h"
#include "engine/generate/random.hpp"

namespace memtool {

void schedule_arrivals(const std::uint64_t* program, std::uint64_t* starts, std::size_t count) noexcept {
  Random random(program[0]);
  const std::uint64_t burst = program[1];
  const Law gap(program + 2);
  std::uint64_t now = 0;
  for (std::size_t i = 0; i < count; ++i) {
    if (i % burst == 0) now += gap.draw(random);
    starts[i] = now;
  }
}

void memtool_schedule_arrivals(const uint64_t* program, uint64_t* starts, uint64_t count) {
  schedule_arrivals(program, starts, count);
}

}  // namespace memtool
