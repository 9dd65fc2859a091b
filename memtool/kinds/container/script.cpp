#include "kinds/container/script.hpp"

namespace memtool::containers {

std::unique_ptr<Script> make_script(Through through, Type type, std::size_t containers, const Heaps& heaps,
                                    Rooms& rooms) {
  constexpr MakeScript* kWays[] = {make_std, make_scoped, make_propagated, make_pmr};
  return kWays[static_cast<std::size_t>(through)](type, containers, heaps, rooms);
}

}  // namespace memtool::containers
