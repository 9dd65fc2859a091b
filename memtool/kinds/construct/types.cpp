#include "kinds/construct/types.hpp"

namespace memtool::construct {

Shape::~Shape() = default;

std::uint64_t Rectangle::area() noexcept {
  return ++width * height;
}

}  // namespace memtool::construct
