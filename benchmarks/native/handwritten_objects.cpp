// Objects made, used and ended over one block, as a C++ programmer would write it by hand: what the kernel of workloads
// of objects is held against.
//
//   handwritten_objects OBJECTS TIMES ROUNDS
//
// makes, uses and ends all objects so many times a round, and prints the nanoseconds of the fastest round.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "rounds.hpp"

namespace {

struct Particle {
  double position[3];
  double velocity[3];
  Particle() noexcept : position{0, 0, 0}, velocity{1, 2, 3} {}
  std::uint64_t use() noexcept {
    for (int axis = 0; axis < 3; ++axis) position[axis] += velocity[axis];
    return position[0] > 0 ? 1 : 0;
  }
};

// An allocator that hands out the same block again and again.
struct OneBlock {
  alignas(16) std::byte memory[4096];
  void* allocate(std::size_t, std::size_t) noexcept { return memory; }
  void deallocate(void*, std::size_t, std::size_t) noexcept {}
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) return 2;
  const auto objects = static_cast<std::size_t>(std::atol(arguments[1]));
  static OneBlock heap;
  std::vector<Particle*> particles(objects);
  std::vector<std::uint32_t> order(objects);  // in which they end
  for (std::size_t i = 0; i < objects; ++i) order[i] = static_cast<std::uint32_t>(objects - 1 - i);
  std::uint64_t sum = 0;
  bool is_done = true;
  const std::uint64_t best = by_hand::fastest(std::atol(arguments[3]), [&] {
    for (long times = std::atol(arguments[2]); times > 0; --times) {
      for (Particle*& particle : particles) {
        void* block = heap.allocate(sizeof(Particle), alignof(Particle));
        if (block == nullptr) is_done = false;
        particle = ::new (block) Particle();
        asm volatile("" ::"r"(block) : "memory");
      }
      for (Particle* particle : particles) sum += particle->use();
      for (const std::uint32_t at : order) {
        std::destroy_at(particles[at]);
        heap.deallocate(particles[at], sizeof(Particle), alignof(Particle));
        asm volatile("" ::"r"(particles[at]) : "memory");
      }
    }
  });
  asm volatile("" ::"r"(sum));
  std::printf("%llu\n", static_cast<unsigned long long>(best));
  return is_done ? 0 : 1;
}
