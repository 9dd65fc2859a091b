// Reads texts of a folder as the logs of a tool, in small portions: `logs FOLDER`. The format is what a file's name
// begins with, up to the first point. Prints the lines, the dropped ones, the offset of the first damage and the events
// of each file.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "engine/recorded/log_reader.hpp"

int main(int count, char** words) {
  constexpr std::size_t kPortionBytes = 777;
  if (count != 2) return 2;
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(words[1])) paths.push_back(entry.path());
  std::ranges::sort(paths);
  for (const std::filesystem::path& path : paths) {
    const std::string name = path.filename().string();
    const std::unique_ptr<memtool::LogReader> reader = memtool::LogReader::make(name.substr(0, name.find('.')));
    if (reader == nullptr) return 3;
    std::ifstream file(path, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    std::vector<memtool::AddressEvent> seen;
    for (std::size_t begin = 0; begin < text.size(); begin += kPortionBytes)
      reader->append(text.substr(begin, kPortionBytes), seen);
    reader->finish(seen);
    const memtool::LogReader::Summary& summary = reader->summary();
    std::printf("%s %llu %llu %lld %zu\n", name.c_str(), static_cast<unsigned long long>(summary.lines),
                static_cast<unsigned long long>(summary.dropped), static_cast<long long>(summary.first_damage),
                seen.size());
  }
}
