// Finds the requests of a script by running it over the process's own malloc.
#include <memory>

#include "kinds/container/heaps.hpp"
#include "kinds/container/script.hpp"

// Fills in the figures. Returns 0 if this engine lacks the container type of the image.
extern "C" [[gnu::visibility("default")]] std::uint32_t memtool_container_survey(const void* image, void* figures) {
  using namespace memtool::containers;
  const Image of(image);
  Heaps heaps;
  auto& counts = *static_cast<Surveyed::Figures*>(figures);
  heaps.push_back(std::make_unique<Surveyed>(counts));
  Rooms rooms;
  const auto script = make_script(Through::std, of.type(), of.head().containers, heaps, rooms);
  if (script == nullptr) return 0;
  Tally tally;
  for (const Step& step : of.steps()) script->run(of.operations(step), tally);
  counts.elements = tally.elements;
  counts.checksum = tally.sum;
  return 1;
}
