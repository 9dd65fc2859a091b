#include "kinds/graph/program/events.hpp"

#include <stdexcept>

#include "engine/events/events.hpp"

namespace memtool::graph {
namespace {

std::uint32_t payload_of(std::uint64_t size) {
  if (size > 0x7ffffff0) throw std::invalid_argument("an object has at most 2 GiB");
  return static_cast<std::uint32_t>(size);
}

}  // namespace

std::vector<std::uint64_t> program_of_events(const void* image, Frees frees) {
  namespace events = memtool::word;
  const auto& head = *static_cast<const ImageHeader*>(image);
  const auto* first = reinterpret_cast<const std::uint64_t*>(&head + 1);
  Builder to;
  for (const std::uint64_t* at = first; at < first + head.epilogue_word; at += events::length(*at)) {
    const std::uint32_t slot = events::slot(*at);
    switch (events::kind(*at)) {
      case Kind::allocate:
      case Kind::allocate_zeroed:
        to.allocate(slot, 0, payload_of(events::size(*at)));
        break;
      case Kind::allocate_wide:
      case Kind::allocate_zeroed_wide:
      case Kind::reallocate:
        to.allocate(slot, 0, payload_of(events::wide_size(at[1])));
        break;
      case Kind::deallocate:
      case Kind::deallocate_wide:
        to.clear(slot);
        break;
      case Kind::write:
        if (slot < kNullRoot) to.access(slot);
        break;
      case Kind::scope_end:
        to.control(Control::safe_point);
        break;
      default:  // marks, paces and beginnings of scopes
        break;
    }
  }
  return to.finish(frees);
}

}  // namespace memtool::graph
