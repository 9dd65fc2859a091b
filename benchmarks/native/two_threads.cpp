// Two threads that keep maps of strings, and hand every fourth string to each other: a program for
// benchmarks/fidelity.py.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace {

struct Inbox {
  std::mutex lock;
  std::vector<std::string> strings;
};

Inbox inboxes[2];

std::uint64_t keep(std::size_t self, std::uint64_t operations) {
  std::unordered_map<std::uint64_t, std::string> kept;
  std::uint64_t state = 88172645463325252ULL + self, bytes = 0;
  for (std::uint64_t operation = 0; operation < operations; ++operation) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const std::uint64_t key = state % 20'000;
    const auto known = kept.find(key);
    if (known == kept.end()) {
      kept.emplace(key, std::string(16 + state % 240, 'x'));
    } else if (state % 4 == 0) {
      Inbox& other = inboxes[1 - self];
      const std::lock_guard guard(other.lock);
      other.strings.push_back(std::move(known->second));
      kept.erase(known);
    } else {
      bytes += known->second.size();
      kept.erase(known);
    }
    if (operation % 64 == 0) {
      std::vector<std::string> received;
      const std::lock_guard guard(inboxes[self].lock);
      received.swap(inboxes[self].strings);
      for (const std::string& string : received) bytes += string.size();
    }
  }
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  const std::uint64_t operations = count > 1 ? std::strtoull(arguments[1], nullptr, 10) : 1'000'000;
  std::uint64_t bytes[2] = {};
  std::thread other([&] { bytes[1] = keep(1, operations); });
  bytes[0] = keep(0, operations);
  other.join();
  std::printf("%d\n", bytes[0] > 0 && bytes[1] > 0);
}
