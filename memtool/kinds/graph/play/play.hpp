// The only loop that plays a graph program, whatever reclaims its objects.
#pragma once

#include <cstdint>

#include "kinds/graph/play/object.hpp"
#include "kinds/graph/program/image.hpp"

namespace memtool::graph {

struct Outcome {
  std::uint64_t sum = 0;  // of all accessed words
  bool is_done = true;    // false: memory is exhausted
  std::uint64_t allocations = 0;
  std::uint64_t failed_size = 0;
};

// A target has `allocate(body, references, slot)`, which returns nullptr if memory is exhausted, `set_new`, `load`,
// `store`, `copy`, `clear`, `access`, `free`, `control`, and `stamp`, with which payloads are filled.
template <class Target>
[[gnu::noinline]] Outcome play(Target& target, const Program& program) {
  struct Loop {
    const std::uint64_t* first = nullptr;
    std::uint64_t left = 0;
  };
  Loop loops[kMostLoops];
  unsigned depth = 0;
  Outcome outcome;
  for (const std::uint64_t* at = program.begin();;) {
    const std::uint64_t now = *at++;
    switch (word::op(now)) {
      case Op::allocate: {
        const std::uint64_t second = *at++;
        const std::uint32_t body = word::low(now);
        const std::uint32_t references = word::high(second);
        const std::uint32_t slot = word::low(second);
        Object* object = target.allocate(body, references, slot);
        if (object == nullptr) [[unlikely]] {
          outcome.is_done = false;
          outcome.failed_size = body;
          return outcome;
        }
        for (std::uint32_t i = 0; i < references; ++i) field_of(object, i) = nullptr;
        const std::uint64_t stamp = target.stamp(slot);
        for (std::uint32_t i = references; i < body / 8; ++i) word_of(object, i) = stamp;
        target.set_new(word::root(now), object);
        ++outcome.allocations;
        break;
      }
      case Op::load:
        target.load(word::a(now), word::b(now), word::c(now));
        break;
      case Op::store:
        target.store(word::a(now), word::c(now), word::b(now));
        break;
      case Op::copy:
        target.copy(word::a(now), word::b(now));
        break;
      case Op::clear:
        target.clear(word::root(now));
        break;
      case Op::access:
        outcome.sum += target.access(word::a(now), word::c(now));
        break;
      case Op::free: {
        const std::uint64_t count = word::low(now);
        if constexpr (Target::kIsExplicit)
          for (std::uint64_t i = 0; i < count; ++i) target.free(word::low(at[i]), word::high(at[i]));
        at += count;
        break;
      }
      case Op::control:
        target.control(static_cast<Control>(word::c(now)));
        break;
      case Op::repeat:
        loops[depth++] = {at, (now & ~std::uint64_t{0} >> 4) - 1};
        break;
      case Op::again:
        if (loops[depth - 1].left-- == 0) {
          --depth;
        } else {
          at = loops[depth - 1].first;
        }
        break;
      case Op::end:
        return outcome;
    }
  }
}

// Roots in plain memory, and fields that are read and written directly. `D` may hide any of these functions.
template <class D>
class PlainRoots {
 public:
  explicit PlainRoots(Object** roots) noexcept : roots_(roots) {}
  void set_new(std::uint32_t root, Object* object) noexcept { roots_[root] = object; }
  void load(std::uint32_t to, std::uint32_t from, std::uint32_t field) noexcept {
    roots_[to] = field_of(roots_[from], field);
  }
  void store(std::uint32_t into, std::uint32_t field, std::uint32_t value) noexcept {
    static_cast<D*>(this)->write(roots_[into], field, value == kNullRoot ? nullptr : roots_[value]);
  }
  void copy(std::uint32_t to, std::uint32_t from) noexcept { roots_[to] = roots_[from]; }
  void clear(std::uint32_t root) noexcept { roots_[root] = nullptr; }
  [[nodiscard]] std::uint64_t access(std::uint32_t root, std::uint32_t references) noexcept {
    return word_of(roots_[root], references);
  }
  [[nodiscard]] static std::uint64_t stamp(std::uint32_t slot) noexcept { return slot; }

 protected:
  Object** roots_;
};

}  // namespace memtool::graph
