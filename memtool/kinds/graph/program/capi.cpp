// The functions with which Python makes a graph program (memtool/kinds/graph/binding.py).
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <span>
#include <vector>

#include "kinds/graph/program/events.hpp"
#include "kinds/graph/program/shapes.hpp"

using memtool::graph::Frees;
using memtool::graph::make_program;

extern "C" {

// The same from the image of heap events.
[[gnu::visibility("default")]] std::vector<std::uint64_t>* memtool_graph_of_events(const void* image,
                                                                                   std::uint64_t frees, char* message) {
  try {
    return new std::vector<std::uint64_t>(memtool::graph::program_of_events(image, static_cast<Frees>(frees)));
  } catch (const std::exception& problem) {
    std::snprintf(message, 400, "%s", problem.what());
    return nullptr;
  }
}
// Returns the image's words, which memtool_graph_forget() frees, or nullptr with one line in `message` (400 bytes).
[[gnu::visibility("default")]] std::vector<std::uint64_t>* memtool_graph_make(const std::uint64_t* words,
                                                                              std::uint64_t count, char* message) {
  try {
    return new std::vector<std::uint64_t>(make_program({words, static_cast<std::size_t>(count)}));
  } catch (const std::exception& problem) {
    std::snprintf(message, 400, "%s", problem.what());
    return nullptr;
  }
}
[[gnu::visibility("default")]] const std::uint64_t* memtool_graph_words(const std::vector<std::uint64_t>* words,
                                                                        std::uint64_t* count) {
  *count = words->size();
  return words->data();
}
[[gnu::visibility("default")]] void memtool_graph_forget(std::vector<std::uint64_t>* words) {
  delete words;
}

}  // extern "C"
