// The types of objects. Each is default-constructed, used by use(), and in its initial state after reset().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

namespace memtool::construct {

// All zeroes, like a value-initialised structure of C.
template <std::size_t kBytes, std::size_t kAlignment = alignof(std::uint64_t)>
struct alignas(kAlignment) Trivial {
  std::uint64_t words[kBytes / sizeof(std::uint64_t)];
  std::uint64_t use() noexcept { return ++words[0] + words[kBytes / sizeof(std::uint64_t) - 1]; }
  void reset() noexcept { *this = Trivial{}; }
};

struct Particle {
  double position[3];
  double velocity[3];
  Particle() noexcept : position{0, 0, 0}, velocity{1, 2, 3} {}
  std::uint64_t use() noexcept {
    for (int axis = 0; axis < 3; ++axis) position[axis] += velocity[axis];
    return position[0] > 0 ? 1 : 0;
  }
  void reset() noexcept { *this = Particle(); }
};

// Its characters lie in a block of the global operator new, wherever the object itself lies.
struct Text {
  static constexpr std::size_t kLength = 40;  // more than a string can hold inside itself
  std::string text;
  Text() : text(kLength, 'a') {}
  std::uint64_t use() noexcept { return static_cast<std::uint64_t>(++text.front()); }
  void reset() { text.assign(kLength, 'a'); }
};

struct Shape {
  virtual ~Shape();  // in types.cpp, so that no caller sees that it does nothing
  virtual std::uint64_t area() noexcept = 0;

 protected:
  Shape() = default;
  Shape(const Shape&) = default;
  Shape& operator=(const Shape&) = default;
};
struct Rectangle : Shape {
  std::uint64_t width = 2;
  std::uint64_t height = 3;
  std::uint64_t area() noexcept override;
  std::uint64_t use() noexcept { return static_cast<Shape&>(*this).area(); }
  void reset() noexcept { width = 2, height = 3; }
};

static_assert(sizeof(Particle) == 48 && sizeof(Text) == 32 && sizeof(Rectangle) == 24);

inline constexpr std::size_t kTypes = 8;
// Applies `Of` to each type. memtool/kinds/construct/types.py has their names and sizes in this order.
template <template <class> class Of>
struct ForEachType {
  using Made = std::remove_const_t<decltype(Of<Particle>::kMade)>;
  static constexpr Made kAll[kTypes] = {
      Of<Trivial<16>>::kMade,
      Of<Trivial<64>>::kMade,
      Of<Particle>::kMade,
      Of<Text>::kMade,
      Of<Rectangle>::kMade,
      Of<Trivial<64, 64>>::kMade,
      Of<Trivial<4096, 4096>>::kMade,
      Of<Trivial<4096>>::kMade,
  };
};

}  // namespace memtool::construct
