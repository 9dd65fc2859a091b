// Draws the operations of a script from a seed, with the same result for every allocator and on every machine.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "engine/generate/random.hpp"
#include "kinds/container/image.hpp"

namespace memtool::containers {
namespace {

// Written by Python: binding.py. Laws lie behind the steps, at these offsets in words from the beginning; 0: none.
struct Wanted {
  std::uint64_t action;
  std::uint64_t order;
  std::uint64_t count;  // for each container
  std::uint64_t keys;
  std::uint64_t lengths;
};
struct Program {
  std::uint64_t seed;
  std::uint64_t containers;
  std::uint64_t is_keyed;
  std::uint64_t steps;
};

class Drawing {
 public:
  Drawing(const std::uint64_t* program, std::uint64_t* operations)
      : words_(program),
        program_(*reinterpret_cast<const Program*>(program)),
        random_(program_.seed),
        pushed_(program_.containers),
        serials_(program_.containers),
        at_(operations) {}

  void run() {
    const auto* steps = reinterpret_cast<const Wanted*>(words_ + sizeof(Program) / sizeof(std::uint64_t));
    for (std::uint64_t i = 0; i < program_.steps; ++i) {
      const Wanted& step = steps[i];
      keys_ = law(step.keys);
      lengths_ = law(step.lengths);
      static_cast<Action>(step.action) == Action::churn ? churn(step) : repeat(step);
    }
  }

 private:
  static constexpr std::uint64_t kLargestKey = 0xffffffff;
  static constexpr std::uint64_t kLargestLength = (1u << word::kLengthBits) - 1;

  [[nodiscard]] std::optional<Law> law(std::uint64_t offset) const {
    return offset == 0 ? std::nullopt : std::optional<Law>(words_ + offset);
  }

  // The container of the i-th operation of a step.
  std::uint64_t container(const Wanted& step, std::uint64_t i) noexcept {
    switch (static_cast<Order>(step.order)) {
      case Order::each:
        return i / step.count;
      case Order::round:
        return i % program_.containers;
      default:
        return random_.below(program_.containers);
    }
  }

  void repeat(const Wanted& step) {
    const auto action = static_cast<Action>(step.action);
    // Several traversals of a container in a row count as one operation.
    if (action == Action::traverse && static_cast<Order>(step.order) == Order::each) {
      for (std::uint64_t i = 0; i < program_.containers; ++i) *at_++ = word::make(action, i, 0, step.count);
      return;
    }
    for (std::uint64_t i = 0; i < step.count * program_.containers; ++i) add(action, container(step, i));
  }

  // The oldest element of one container is removed, and the container that lost an element just before gets a new one.
  // So the contents keep their sizes, and blocks change hands.
  void churn(const Wanted& step) {
    const std::uint64_t pairs = step.count * program_.containers;
    std::uint64_t before = 0;
    for (std::uint64_t i = 0; i < pairs; ++i) {
      const std::uint64_t loses = container(step, i);
      add(Action::pop, loses);
      if (i > 0) add(Action::push, before);
      before = loses;
    }
    if (pairs > 0) add(Action::push, before);
  }

  void add(Action action, std::uint64_t container) {
    const bool brings = action == Action::push || action == Action::insert;
    const std::uint64_t length = brings && lengths_ ? std::min(lengths_->draw(random_), kLargestLength) : 0;
    *at_++ = word::make(action, container, length, key(action, container));
  }

  std::uint64_t key(Action action, std::uint64_t container) {
    std::deque<std::uint64_t>& known = pushed_[container];
    switch (action) {
      case Action::traverse:
        return 1;
      case Action::push:
      case Action::insert: {
        const std::uint64_t fresh = keys_                      ? std::min(keys_->draw(random_), kLargestKey)
                                    : action == Action::insert ? random_.next() >> 32
                                                               : serials_[container]++;
        if (program_.is_keyed != 0) known.push_back(fresh);
        return fresh;
      }
      case Action::pop: {
        if (known.empty()) return 0;
        const std::uint64_t oldest = known.front();
        known.pop_front();
        return oldest;
      }
      case Action::find:
      case Action::erase: {
        if (keys_) return std::min(keys_->draw(random_), kLargestKey);
        if (known.empty()) return random_.next() >> 32;
        std::uint64_t& chosen = known[random_.below(known.size())];
        const std::uint64_t of_chosen = chosen;
        if (action == Action::erase) {
          chosen = known.back();
          known.pop_back();
        }
        return of_chosen;
      }
      default:
        return 0;
    }
  }

  const std::uint64_t* words_;
  const Program& program_;
  Random random_;
  std::vector<std::deque<std::uint64_t>> pushed_;  // keys of maps, the oldest first
  std::vector<std::uint64_t> serials_;
  std::optional<Law> keys_, lengths_;
  std::uint64_t* at_;
};

}  // namespace
}  // namespace memtool::containers

// Writes the operations of a program, which must have room for all of them.
extern "C" [[gnu::visibility("default")]] void memtool_container_draw(const std::uint64_t* program,
                                                                      std::uint64_t* operations) {
  memtool::containers::Drawing(program, operations).run();
}
