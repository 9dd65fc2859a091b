// Describes the state of a heap at the moment at which it could not serve a request.
#pragma once

#include <cstdint>
#include <string>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "engine/events/events.hpp"

namespace memtool {

// The size of a request that cannot be served: that of the event `at` in an image.
inline std::uint64_t requested_size(const std::uint64_t* at) noexcept {
  const Kind kind = word::kind(*at);
  const bool short_form = kind == Kind::allocate || kind == Kind::allocate_zeroed;
  return short_form ? word::size(*at) : word::wide_size(at[1]);
}

// The bytes that an event requests, and the bytes that it frees.
struct Change {
  std::uint64_t requested = 0;
  std::uint64_t freed = 0;
};
inline Change change_of(const std::uint64_t* word) noexcept {
  switch (word::kind(*word)) {
    case Kind::allocate:
    case Kind::allocate_zeroed:
      return {.requested = word::size(*word)};
    case Kind::allocate_wide:
    case Kind::allocate_zeroed_wide:
      return {.requested = word::wide_size(word[1])};
    case Kind::deallocate:
      return {.freed = word::size(*word)};
    case Kind::deallocate_wide:
      return {.freed = word::wide_size(word[1])};
    case Kind::reallocate:
      return {.requested = word::wide_size(word[1]), .freed = word[2]};
    default:
      return {};
  }
}

// The state of a heap at the moment at which it could not serve a request.
struct HeapState {
  HeapStats stats;
  std::uint64_t used = 0;  // bytes of the region
};
template <class S>
HeapState state_of(const S& strategy, const Region& region) {
  return {.stats = strategy.stats(), .used = region.used()};
}

// Describes the live bytes (`live`), the free bytes, and the largest free block, if the heap knows them.
inline std::string state_in_words(const std::string& live, const HeapState& state, const Region& region,
                                  bool on_region) {
  std::string words = ": " + live;
  if (!on_region) return words;
  words += ", " + std::to_string(state.used) + " of " + std::to_string(region.capacity()) + " bytes taken";
  const auto add = [&](const char* before, std::uint64_t bytes, const char* after) {
    if (bytes != kNotApplicable) words += before + std::to_string(bytes) + after;
  };
  add(", ", state.stats.free_bytes, " of them free");
  add(", the largest hole ", state.stats.largest_free, "");
  return words;
}

}  // namespace memtool
