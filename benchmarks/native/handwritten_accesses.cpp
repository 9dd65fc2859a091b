// What memtool's accesses are compared with: the same reads, writes and chase, of one block, as a C++ programmer would
// write them by hand.
//
//   handwritten_accesses read|write|chase ACCESSES ROUNDS
//
// prints the nanoseconds of the fastest round.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "rounds.hpp"

int main(int count, char** words) {
  if (count != 4) return 2;
  const std::string_view what = words[1];
  const std::size_t accesses = std::strtoull(words[2], nullptr, 10);
  std::uint64_t block = 0;
  std::vector<std::uint64_t*> places(accesses, &block);
  if (what == "chase") block = reinterpret_cast<std::uintptr_t>(&block);
  const std::uint64_t best = by_hand::fastest(std::atol(words[3]), [&] {
    std::uint64_t sum = 0;
    if (what == "read") {
      for (const std::uint64_t* place : places) sum += *place;
    } else if (what == "write") {
      std::uint64_t i = 0;
      for (std::uint64_t* place : places) *place = i++;
    } else {
      const std::uint64_t* at = &block;
      for (std::size_t i = 0; i < accesses; ++i) at = reinterpret_cast<const std::uint64_t*>(*at);
      sum = reinterpret_cast<std::uintptr_t>(at);
    }
    asm volatile("" ::"r"(sum) : "memory");
  });
  std::printf("%llu\n", static_cast<unsigned long long>(best));
}
