// The functions with which Python makes a graph program (memtool/kinds/graph/binding.py).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <vector>

#include "kinds/graph/program/events.hpp"
#include "kinds/graph/program/shapes.hpp"

using memtool::graph::Frees;
using memtool::graph::make_program;

namespace {

using Words = std::vector<std::uint64_t>;

// Returns what make() returns, or nullptr with one line in `message` (400 bytes).
template <class Make>
Words* made(char* message, Make make) {
  try {
    return new Words(make());
  } catch (const std::exception& problem) {
    std::snprintf(message, 400, "%s", problem.what());
    return nullptr;
  }
}

}  // namespace

extern "C" {

// The same from the image of heap events.
[[gnu::visibility("default")]] Words* memtool_graph_of_events(const void* image, std::uint64_t frees, char* message) {
  return made(message, [&] { return memtool::graph::program_of_events(image, static_cast<Frees>(frees)); });
}
// Returns the image's words, which memtool_graph_forget() frees, or nullptr with one line in `message` (400 bytes).
[[gnu::visibility("default")]] Words* memtool_graph_make(const std::uint64_t* words, std::uint64_t count,
                                                         char* message) {
  return made(message, [&] { return make_program({words, static_cast<std::size_t>(count)}); });
}
[[gnu::visibility("default")]] const std::uint64_t* memtool_graph_words(const Words* words, std::uint64_t* count) {
  *count = words->size();
  return words->data();
}
[[gnu::visibility("default")]] void memtool_graph_forget(Words* words) {
  delete words;
}

}  // extern "C"
