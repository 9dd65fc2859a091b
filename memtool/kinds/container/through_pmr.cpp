#include "kinds/container/containers.hpp"

namespace memtool::containers {

std::unique_ptr<Script> make_pmr(Type type, std::size_t containers, const Heaps& heaps, Rooms& rooms) {
  return make<Pmr>(type, containers, heaps, rooms);
}

}  // namespace memtool::containers
