// The chunks of a persistent heap as runs: taking, freeing and coalescing them, and the lists that hold them.
#pragma once

#include <algorithm>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "allocators/support/persistent/layout.hpp"

namespace memtool::persistent {

// `Store` is Stores. Tests use one that stops after a given number of stores.
template <class Store>
class Runs {
 public:
  Runs(const Runs&) = delete;
  Runs& operator=(const Runs&) = delete;

 protected:
  explicit Runs(Region& region) noexcept : region_(region) {}

  [[nodiscard]] std::byte* base() const noexcept { return region_.base(); }
  [[nodiscard]] Head& head() const noexcept { return *reinterpret_cast<Head*>(base()); }
  [[nodiscard]] ChunkHead& chunk(Offset at) const noexcept { return *reinterpret_cast<ChunkHead*>(base() + at); }
  [[nodiscard]] State state(Offset at) const noexcept { return State::read(chunk(at).state); }
  [[nodiscard]] Offset behind(Offset at) const noexcept { return at + state(at).chunks() * kChunk; }
  static void set(std::uint64_t& where, std::uint64_t value) noexcept { Store::store(where, value); }
  void set_state(Offset at, Kind kind, unsigned size_class, std::uint64_t chunks) noexcept {
    set(chunk(at).state, State::of(kind, size_class, chunks, at).word());
  }

  void push(Offset& first, Offset at) noexcept {
    set(chunk(at).next, first);
    set(chunk(at).before, 0);
    if (first != 0) set(chunk(first).before, at);
    set(first, at);
  }
  void unlink(Offset& first, Offset at) noexcept {
    const Offset next = chunk(at).next, before = chunk(at).before;
    set(before == 0 ? first : chunk(before).next, next);
    if (next != 0) set(chunk(next).before, before);
  }

  // Returns a free run of `chunks` chunks that is on no list, or 0 if there is no room.
  Offset reserve(std::uint64_t chunks) noexcept {
    Offset at = take_listed(chunks);
    if (at == 0 && chunks_listed() >= chunks) {
      merge_all();
      at = take_listed(chunks);
    }
    return at == 0 ? grow(chunks) : at;
  }
  // Frees a used run and puts it on the list.
  void give_back(Offset at) noexcept {
    set_state(at, Kind::free, 0, state(at).chunks());
    push(head().free_runs, at);
  }
  // Coalesces free neighbours and rebuilds the list.
  void merge_all() noexcept {
    set(head().free_runs, 0);
    for (Offset at = kChunk; at < head().end; at = behind(at)) {
      if (state(at).kind() != Kind::free) continue;
      Offset end = behind(at);
      while (end < head().end && state(end).kind() == Kind::free) end = behind(end);
      if (end != behind(at)) set_state(at, Kind::free, 0, (end - at) / kChunk);
      push(head().free_runs, at);
    }
  }

  Region& region_;

 private:
  Offset take_listed(std::uint64_t chunks) noexcept {
    Offset at = head().free_runs;
    while (at != 0 && state(at).chunks() < chunks) at = chunk(at).next;
    if (at == 0) return 0;
    unlink(head().free_runs, at);
    const std::uint64_t rest = state(at).chunks() - chunks;
    if (rest != 0) {
      // The remainder becomes a run before the first run is shortened, so that the heap can be walked at any moment.
      const Offset other = at + chunks * kChunk;
      set_state(other, Kind::free, 0, rest);
      set_state(at, Kind::free, 0, chunks);
      push(head().free_runs, other);
    }
    return at;
  }
  [[nodiscard]] std::uint64_t chunks_listed() const noexcept {
    std::uint64_t sum = 0;
    for (Offset at = head().free_runs; at != 0; at = chunk(at).next) sum += state(at).chunks();
    return sum;
  }
  Offset grow(std::uint64_t chunks) noexcept {
    const Offset at = head().end;
    if (chunks > region_.capacity() / kChunk || region_.grow(chunks * kChunk) == nullptr) return 0;
    set_state(at, Kind::free, 0, chunks);
    set(head().end, at + chunks * kChunk);
    return at;
  }
};

}  // namespace memtool::persistent
