// What memtool's files are compared with: the same accesses at random to the same file, as a C++ programmer would write
// them by hand.
//
//   handwritten_files pread|pwrite|mmap FILE BLOCK ACCESSES SEED ROUNDS
//
// prints the nanoseconds of the fastest round.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include "rounds.hpp"

namespace {

std::uint64_t sum_of(const char* from, std::size_t bytes) {
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < bytes; at += sizeof sum) {
    std::uint64_t word;
    std::memcpy(&word, from + at, sizeof word);
    sum += word;
  }
  return sum;
}

// splitmix64: Steele, Lea and Flood, OOPSLA 2014.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  std::uint64_t state_;
};

}  // namespace

int main(int count, char** words) {
  if (count != 7) return 2;
  const std::string_view what = words[1];
  const int file = open(words[2], O_RDWR);
  const off_t length = lseek(file, 0, SEEK_END);
  if (length <= 0) return 1;
  const auto bytes = static_cast<std::size_t>(length);
  const std::size_t block = std::strtoull(words[3], nullptr, 10);
  const std::size_t accesses = std::strtoull(words[4], nullptr, 10);
  Draw draw(std::strtoull(words[5], nullptr, 10));
  const auto anywhere = [&] { return draw.next() % (bytes / block) * block; };
  std::vector<char> buffer(block);
  for (char& byte : buffer) byte = static_cast<char>(draw.next());

  bool is_done = true;
  const std::uint64_t best = by_hand::fastest(std::atol(words[6]), [&] {
    std::uint64_t sum = 0;
    if (what == "mmap") {
      void* const mapped = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
      is_done = mapped != MAP_FAILED && madvise(mapped, bytes, MADV_RANDOM) == 0;
      if (!is_done) return;
      for (std::size_t i = 0; i < accesses; ++i) sum += sum_of(static_cast<const char*>(mapped) + anywhere(), block);
      munmap(mapped, bytes);
    } else if (what == "pread") {
      for (std::size_t i = 0; i < accesses && is_done; ++i) {
        is_done = pread(file, buffer.data(), block, static_cast<off_t>(anywhere())) == static_cast<ssize_t>(block);
        sum += sum_of(buffer.data(), block);
      }
    } else {
      for (std::size_t i = 0; i < accesses && is_done; ++i)
        is_done = pwrite(file, buffer.data(), block, static_cast<off_t>(anywhere())) == static_cast<ssize_t>(block);
    }
    asm volatile("" ::"r"(sum) : "memory");
  });
  std::printf("%llu\n", static_cast<unsigned long long>(best));
  return is_done ? 0 : 1;
}
