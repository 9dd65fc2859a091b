// Two lanes side by side at a recorded pace, without an allocator: one works for 30 ms at 0 and at 2 s, the other
// at 0 and waits for an object of the first from 1 s on. Prints the time of the body and the wall time, in us.
#include <array>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <vector>

#include "engine/replay/lanes.hpp"

namespace {

using namespace memtool;

constexpr std::uint64_t kNanosecondsPerMicrosecond = 1000;

void work_for(std::uint64_t microseconds) {
  const std::uint64_t end = Clock::system_nanoseconds() + microseconds * kNanosecondsPerMicrosecond;
  while (Clock::system_nanoseconds() < end) {
  }
}

class Paced : public Lanes::Work {
 public:
  void run(Lane& lane, Lanes& lanes) noexcept override {
    LaneExchange exchange(lane, lanes);
    work_for(30'000);
    if (lane.number == 0) {
      exchange.pace(2'000'000);
      work_for(30'000);
      exchange.publish(0, &lane);
    } else {
      exchange.pace(1'000'000);
      exchange.receive(0, 0);
    }
    lanes.end_body(lane);
  }
};

}  // namespace

int main() {
  struct {
    ThreadImageHeader head{};
    std::array<LaneEntry, 2> lanes{};
  } image;
  image.head.lanes = 2;
  image.head.lanes_offset = sizeof(ThreadImageHeader);
  std::vector<ThreadPlace> places(2);
  std::atomic<void*> cell = nullptr;
  ReplayRequest request{};
  request.image = &image;
  request.mode = MEMTOOL_PARALLEL;
  request.is_paced = 1;
  request.ticks_per_ns = 1;  // of clock_gettime
  request.places = places.data();
  const ThreadImage read(request);
  Paced work;
  Lanes lanes(read, request, &cell, work);
  const std::uint64_t begun = Clock::system_nanoseconds();
  if (!lanes.run()) return 1;
  const std::uint64_t wall = Clock::system_nanoseconds() - begun;
  std::printf("%llu %llu\n", static_cast<unsigned long long>(lanes.body_ticks() / kNanosecondsPerMicrosecond),
              static_cast<unsigned long long>(wall / kNanosecondsPerMicrosecond));
}
