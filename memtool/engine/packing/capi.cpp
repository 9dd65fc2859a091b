// The packer's C ABI (engine/packing/binding.py).
#include <algorithm>
#include <cstdint>
#include <vector>

#include "engine/events/events.hpp"
#include "engine/events/guarded.hpp"
#include "engine/events/trace_capi.hpp"
#include "engine/packing/packing.hpp"

namespace memtool {
namespace {

constexpr std::uint32_t kTooMany = 1;

// The alignment of a request, if it exceeds that of every malloc. A smaller one does not constrain a packing.
std::uint64_t alignment_of(std::uint64_t request) noexcept {
  constexpr std::uint64_t kEverywhere = std::uint64_t{1} << word::kDefaultLog2Alignment;
  const std::uint64_t alignment = word::wide_alignment(request);
  return alignment > kEverywhere ? alignment : 1;
}

// The lifetimes of an image's blocks, in words of the image. A resized block counts as another block. Returns false if
// there are more than `most`.
bool intervals_of(const ImageHeader& head, std::uint64_t most, std::vector<Interval>& intervals) {
  if (head.allocations + head.reallocations > most) return false;
  intervals.reserve(head.allocations + head.reallocations);
  std::vector<std::uint32_t> current(head.slots, 0);  // the live interval of each slot
  const auto* words = reinterpret_cast<const std::uint64_t*>(&head + 1);
  for (std::uint64_t at = 0; at < head.words; at += word::length(words[at])) {
    const std::uint64_t word = words[at];
    const std::uint32_t slot = word::slot(word);
    const auto begin = [&](std::uint64_t size, std::uint64_t alignment) {
      current[slot] = static_cast<std::uint32_t>(intervals.size());
      intervals.push_back({at, head.words, size, alignment});
    };
    const auto begin_wide = [&] { begin(word::wide_size(words[at + 1]), alignment_of(words[at + 1])); };
    switch (word::kind(word)) {
      case Kind::allocate:
      case Kind::allocate_zeroed:
        begin(word::size(word), 1);
        break;
      case Kind::allocate_wide:
      case Kind::allocate_zeroed_wide:
        begin_wide();
        break;
      case Kind::reallocate:
        intervals[current[slot]].upper = at;
        begin_wide();
        break;
      case Kind::deallocate:
      case Kind::deallocate_wide:
        intervals[current[slot]].upper = at;
        break;
      default:
        break;
    }
  }
  return true;
}

}  // namespace

extern "C" {

std::uint32_t memtool_pack(const std::uint64_t* lower, const std::uint64_t* upper, const std::uint64_t* size,
                           const std::uint64_t* alignment, std::uint64_t count, std::uint64_t work,
                           std::uint64_t* offsets, PackingResult* result) {
  return guarded([&] {
    std::vector<Interval> intervals;
    intervals.reserve(count);
    for (std::uint64_t i = 0; i < count; ++i)
      intervals.push_back({lower[i], upper[i], size[i], alignment == nullptr ? 1 : alignment[i]});
    const Packing packing = pack(intervals, work);
    *result = {count, load_of(intervals), packing.footprint};
    if (offsets != nullptr) std::ranges::copy(packing.offsets, offsets);
  });
}

std::uint32_t memtool_pack_image(const void* image, std::uint64_t most, std::uint64_t work, PackingResult* result) {
  bool is_within = true;
  const std::uint32_t status = guarded([&] {
    std::vector<Interval> intervals;
    is_within = intervals_of(*static_cast<const ImageHeader*>(image), most, intervals);
    if (is_within) *result = {intervals.size(), load_of(intervals), pack(intervals, work).footprint};
  });
  return is_within ? status : kTooMany;
}

}  // extern "C"

}  // namespace memtool
