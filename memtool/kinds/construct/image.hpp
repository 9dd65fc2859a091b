// The worker's input for a workload of objects. memtool/kinds/construct/work.py declares the same structure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/replay/kernel.hpp"

namespace memtool::construct {

inline constexpr std::size_t kStackBytes = 256 << 10;
enum Order : std::uint64_t { kSame = 0, kReverse = 1, kRandom = 2 };

struct Image {
  std::uint64_t type;       // number of the type; numbers beyond the compiled types stand for the user's, in a library
  std::uint64_t size;       // bytes of an object
  std::uint64_t objects;    // number of objects alive at once
  std::uint64_t per_array;  // objects in each array; 1 in ways without arrays
  std::uint64_t rounds;     // in each round all objects are made, used and ended
  std::uint64_t order;      // order in which they end
  std::uint64_t seed;       // seed of a random order
};

inline const Image& image_of(const KernelCall& call) noexcept {
  return *static_cast<const Image*>(call.request.image);
}
// The path of the user's library, a null-terminated string behind the image.
inline const char* library_of(const Image& image) noexcept {
  return reinterpret_cast<const char*>(&image + 1);
}
// The number of objects in each block of a way.
std::uint64_t per_array_of(const Image& image, std::string_view way) noexcept;
// The order in which the blocks end.
std::vector<std::uint32_t> order_of(const Image& image, std::uint64_t blocks);

// Runs the check pass and the footprint pass.
void audit(KernelCall& call, std::span<std::byte> place);

}  // namespace memtool::construct
