// Reads each recording of a folder and matches what is in it: `recorded FOLDER`. Prints the events of each file.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/recorded/matcher.hpp"
#include "engine/recorded/recording.hpp"

namespace {

std::uint64_t events_of(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR);
  std::uint64_t events = 0;
  try {
    memtool::Recording recording(file);
    memtool::AddressMatcher matcher;
    memtool::MatchedPortion portion;
    std::vector<memtool::AddressEvent> seen;
    do {
      seen.clear();
      recording.read(~std::uint64_t{0}, 1000, seen);
      portion.clear();
      matcher.append(seen, portion);
      events += seen.size();
    } while (!seen.empty());
  } catch (const std::exception&) {
    // Not a recording at all.
  }
  close(file);
  return events;
}

}  // namespace

int main(int count, char** words) {
  if (count != 2) return 2;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(words[1])) paths.push_back(entry.path());
  std::ranges::sort(paths);
  for (const std::string& path : paths) std::printf("%llu\n", static_cast<unsigned long long>(events_of(path)));
}
