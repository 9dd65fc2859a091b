// The only replay loop. It is compiled for each pair of strategy and probe. So a strategy is inlined into it as into a
// C++ program, and a pass does not pay for what it does not measure.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "allocators/concept/strategy.hpp"
#include "engine/events/events.hpp"
#include "engine/replay/pacer.hpp"

namespace memtool {

// What a probe sees (all inline; a pass leaves empty what it does not need):
//   void* allocate(op), reallocate(op); void deallocate(op)    run `op` once, perhaps with a clock around it
//   allocated(slot, block, size, alignment, zeroed)            after a success
//   deallocating(slot, block, size)                            before the strategy sees the free, or its scope's end
//   reallocating(slot, block, size), reallocated(slot, block, old size, new size, alignment)
//   moving(block, size)                                        between copying into it and freeing what was copied
//   published(slot, cell)                                      before the slot's object goes to another thread
//   received(slot, cell)                                       the next event is of an object that comes from another
//                                                              thread, and is in the slot

// Events of a replay that do not concern an object. On one thread it may wait for the recorded time. See
// engine/replay/lanes.hpp for several threads.
struct NoExchange {
  static constexpr bool kBetweenThreads = false;
  void pace(std::uint64_t microseconds) noexcept {
    if (pacer != nullptr) pacer->wait(microseconds);
  }
  Pacer* pacer = nullptr;
};

template <ReplayableHeap S, class Probe, class Exchange = NoExchange>
class Replay {
 public:
  // `slots` has one entry for each slot of the image.
  Replay(S& strategy, Probe& probe, void** slots, Exchange exchange = {}) noexcept
      : parts_{strategy, probe, slots}, exchange_(exchange) {}

  // Replays the events from `at` up to the first event that begins at or after `end`, and returns where it stopped. A
  // request that cannot be served ends the replay there: out_of_memory() is true and the event was not replayed.
  [[gnu::noinline]] const std::uint64_t* run(const std::uint64_t* at, const std::uint64_t* end) noexcept {
    // A copy, because members reached through `this` would be loaded again after every store to a block or a slot.
    const Parts parts = parts_;
    while (at < end) {
      const std::uint64_t head = *at;
      const Kind kind = word::kind(head);
      const std::uint32_t slot = word::slot(head);
      if (kind == Kind::deallocate) {
        deallocate(parts, slot, word::size(head), kDefaultAlignment);
        ++at;
      } else if (kind == Kind::allocate) {
        if (!allocate<false>(parts, slot, word::size(head), kDefaultAlignment)) [[unlikely]]
          return stop(at);
        ++at;
      } else {
        if constexpr (Exchange::kBetweenThreads) {
          if (kind == Kind::handover) {
            const std::uint64_t* after = hand_over(parts, at, slot, head);
            if (after == nullptr) [[unlikely]]
              return at;
            at = after;
            continue;
          }
        }
        const std::uint64_t* next = rare(at, kind, slot, head);
        if (next == nullptr) return stop(at);
        at = next;
      }
    }
    return at;
  }

  [[nodiscard]] bool out_of_memory() const noexcept { return out_of_memory_; }

 private:
  static constexpr std::size_t kMostScopes = 64;

  struct Parts {
    S& strategy;
    Probe& probe;
    void** slots;
  };

  // ISO C allows a malloc to return nothing for 0 bytes, which does not mean that memory is exhausted. The replay then
  // asks for 1 byte, as portable programs do, so that every object has its own block.
  template <bool kZeroed>
  bool allocate_wide(std::uint32_t slot, std::uint64_t word) noexcept {
    const std::uint64_t size = word::wide_size(word);
    const std::size_t alignment = word::wide_alignment(word);
    if (allocate<kZeroed>(parts_, slot, size, alignment)) return true;
    if (size > 0 || !parts_.strategy.info.uses_malloc) return false;
    void* block = parts_.probe.allocate([&]() noexcept { return parts_.strategy.allocate(1, alignment); });
    if (block == nullptr) return false;
    parts_.slots[slot] = block;
    parts_.probe.allocated(slot, block, 0, alignment, kZeroed);
    return true;
  }

  template <bool kZeroed>
  [[gnu::always_inline]] static bool allocate(const Parts& parts, std::uint32_t slot, std::uint64_t size,
                                              std::size_t alignment) noexcept {
    void* block = parts.probe.allocate([&]() noexcept {
      if constexpr (!kZeroed) {
        return parts.strategy.allocate(size, alignment);
      } else if constexpr (AllocatesZeroed<S>) {
        return parts.strategy.allocate_zeroed(size, alignment);
      } else {
        void* fresh = parts.strategy.allocate(size, alignment);
        if (fresh != nullptr) std::memset(fresh, 0, size);
        return fresh;
      }
    });
    if (block == nullptr) [[unlikely]]
      return false;
    parts.slots[slot] = block;
    parts.probe.allocated(slot, block, size, alignment, kZeroed);
    return true;
  }

  [[gnu::always_inline]] static void deallocate(const Parts& parts, std::uint32_t slot, std::uint64_t size,
                                                std::size_t alignment) noexcept {
    void* block = parts.slots[slot];
    parts.probe.deallocating(slot, block, size);
    parts.probe.deallocate([&]() noexcept { parts.strategy.deallocate(block, size, alignment); });
  }

  [[gnu::noinline]] bool reallocate(std::uint32_t slot, std::uint64_t old_size, std::uint64_t new_size,
                                    std::size_t alignment) noexcept {
    void* block = parts_.slots[slot];
    parts_.probe.reallocating(slot, block, old_size);
    void* moved = parts_.probe.reallocate([&]() noexcept -> void* {
      if constexpr (Reallocates<S>) {
        return parts_.strategy.reallocate(block, old_size, new_size, alignment);
      } else {
        void* fresh = parts_.strategy.allocate(new_size, alignment);
        if (fresh == nullptr) return nullptr;
        std::memcpy(fresh, block, old_size < new_size ? old_size : new_size);
        parts_.probe.moving(fresh, new_size);
        parts_.strategy.deallocate(block, old_size, alignment);
        return fresh;
      }
    });
    if (moved == nullptr) return false;
    parts_.slots[slot] = moved;
    parts_.probe.reallocated(slot, moved, old_size, new_size, alignment);
    return true;
  }

  // Returns the next event, or nullptr if another thread gave up the one for which this thread waits.
  [[gnu::always_inline]] const std::uint64_t* hand_over(const Parts& parts, const std::uint64_t* at, std::uint32_t slot,
                                                        std::uint64_t head) noexcept {
    switch (handover::act(head)) {
      case handover::Act::publish:
        parts.probe.published(slot, handover::cell(head));
        exchange_.publish(handover::cell(head), parts.slots[slot]);
        return at + 1;
      case handover::Act::receive: {
        void* block = exchange_.receive(handover::cell(head), at[1]);
        if (block == nullptr) [[unlikely]]
          return nullptr;
        parts.slots[slot] = block;
        parts.probe.received(slot, handover::cell(head));
        return at + 2;
      }
      case handover::Act::start:
        return exchange_.start(handover::cell(head), at + 1) ? at + 1 : nullptr;
      case handover::Act::join:
        return exchange_.join(handover::cell(head)) ? at + 1 : nullptr;
    }
    __builtin_unreachable();
  }

  // Handles everything except the two common events. Returns the next event, or nullptr if memory is exhausted.
  [[gnu::noinline]] const std::uint64_t* rare(const std::uint64_t* at, Kind kind, std::uint32_t slot,
                                              std::uint64_t head) noexcept {
    switch (kind) {
      case Kind::allocate_zeroed:
        return allocate<true>(parts_, slot, word::size(head), kDefaultAlignment) ? at + 1 : nullptr;
      case Kind::allocate_wide:
        return allocate_wide<false>(slot, at[1]) ? at + 2 : nullptr;
      case Kind::allocate_zeroed_wide:
        return allocate_wide<true>(slot, at[1]) ? at + 2 : nullptr;
      case Kind::deallocate_wide:
        deallocate(parts_, slot, word::wide_size(at[1]), word::wide_alignment(at[1]));
        return at + 2;
      case Kind::reallocate:
        return reallocate(slot, at[2], word::wide_size(at[1]), word::wide_alignment(at[1])) ? at + 3 : nullptr;
      case Kind::write:
        parts_.probe.write(parts_.slots[slot], word::size(head));
        return at + 1;
      case Kind::pace:
        exchange_.pace(word::microseconds(head));
        return at + 1;
      case Kind::scope_begin:
        parts_.probe.scope_begins();
        begin_scope();
        return at + 1;
      case Kind::scope_end:
        parts_.probe.scope_ends();
        return end_scope(at + 1, head >> 4);
      default:
        return at + 1;
    }
  }

  void begin_scope() noexcept {
    if constexpr (Scoped<S>) {
      if (!is_scoped(parts_.strategy)) return;
      if (scopes_ < kMostScopes) markers_[scopes_] = parts_.strategy.mark();
      ++scopes_;
    }
  }

  // A strategy with scopes frees the scope at once, and the deallocations of its objects are skipped. Any other
  // strategy frees them one by one.
  const std::uint64_t* end_scope(const std::uint64_t* at, std::uint64_t words) noexcept {
    if constexpr (Scoped<S>) {
      if (!is_scoped(parts_.strategy)) return at;
      --scopes_;
      if (scopes_ < kMostScopes) {
        if constexpr (Probe::kSeesScopes) {
          const std::uint64_t* seen = parts_.probe.wants_scopes() ? at + words : at;
          for (const std::uint64_t* free = at; free < seen;) {
            const bool wide = word::kind(*free) == Kind::deallocate_wide;
            const std::uint32_t slot = word::slot(*free);
            parts_.probe.deallocating(slot, parts_.slots[slot], wide ? word::wide_size(free[1]) : word::size(*free));
            free += wide ? 2 : 1;
          }
        }
        parts_.probe.release([&]() noexcept { parts_.strategy.release(markers_[scopes_]); });
        return at + words;
      }
    }
    return at;
  }

  const std::uint64_t* stop(const std::uint64_t* at) noexcept {
    out_of_memory_ = true;
    return at;
  }

  Parts parts_;
  [[no_unique_address]] Exchange exchange_;
  bool out_of_memory_ = false;
  std::size_t scopes_ = 0;
  std::array<MarkerOf<S>, kMostScopes> markers_{};
};

}  // namespace memtool
