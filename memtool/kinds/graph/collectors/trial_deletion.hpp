// Finds garbage cycles among counted objects. An object that lost a reference and still has others may belong to one.
// The references within such a subgraph are subtracted by trial; objects left without references are garbage (Bacon and
// Rajan, ECOOP 2001, the synchronous algorithm). There is no recursion.
#pragma once

#include <vector>

#include "kinds/graph/collectors/header.hpp"
#include "kinds/graph/collectors/settings.hpp"

namespace memtool::graph {

// A count before each object, and flags in the header before the count.
struct Counted : Layout<16> {
  enum Flag : std::uint64_t {
    kGray = 2,
    kWhite = 4,
    kSuspect = 8,
    kInTable = 16,
    kDead = 32,
  };
  static std::uint64_t& count(Object* object) noexcept { return reinterpret_cast<std::uint64_t*>(object)[-1]; }
  static Object*& link(Object* object) noexcept { return reinterpret_cast<Object**>(object)[-1]; }
  static bool has(Object* object, Flag flag) noexcept { return (word_at(cell(object)) & flag) != 0; }
  static void set(Object* object, Flag flag) noexcept { word_at(cell(object)) |= flag; }
  static void clear(Object* object, Flag flag) noexcept { word_at(cell(object)) &= ~std::uint64_t{flag}; }
};

class TrialDeletion {
 public:
  explicit TrialDeletion(Telemetry& telemetry) noexcept : telemetry_(telemetry) {}

  void suspect(Object* object) {
    if (Counted::has(object, Counted::kSuspect)) return;
    Counted::set(object, Counted::kSuspect);
    suspects_.push_back(object);
  }
  [[nodiscard]] std::size_t suspects() const noexcept { return suspects_.size(); }

  // Calls `free(object)` for each garbage object. Counts must include all references, also those of roots.
  template <class Free>
  void run(Free free) {
    std::size_t kept = 0;
    for (Object* object : suspects_) {
      Counted::clear(object, Counted::kSuspect);
      if (Counted::has(object, Counted::kDead)) {
        free(object);
      } else {
        suspects_[kept++] = object;
      }
    }
    suspects_.resize(kept);
    for (Object* object : suspects_) take_off(object);
    for (Object* object : suspects_) judge(object);
    for (Object* object : suspects_) gather(object);
    suspects_.clear();
    for (Object* object : garbage_) free(object);
    garbage_.clear();
  }
  [[nodiscard]] std::size_t apart_bytes() const noexcept {
    return (suspects_.capacity() + garbage_.capacity() + open_.capacity() + restored_.capacity()) * sizeof(Object*);
  }

 private:
  // Subtracts the references within everything reachable from the object.
  void take_off(Object* from) {
    if (!color(from, Counted::kGray)) return;
    drain(open_, from, [&](Object* object) {
      telemetry_.marked_bytes += Counted::header(object).bytes();
      each_reference(object, [&](Object* to) {
        --Counted::count(to);
        if (color(to, Counted::kGray)) open_.push_back(to);
      });
    });
  }
  // Restores each object that still has references, with everything reachable from it. The rest becomes white.
  void judge(Object* from) {
    drain(open_, from, [&](Object* object) {
      if (!Counted::has(object, Counted::kGray)) return;
      Counted::clear(object, Counted::kGray);
      if (Counted::count(object) > 0) return restore(object);
      Counted::set(object, Counted::kWhite);
      each_reference(object, [&](Object* to) { open_.push_back(to); });
    });
  }
  void restore(Object* from) {
    drain(restored_, from, [&](Object* object) {
      each_reference(object, [&](Object* to) {
        ++Counted::count(to);
        const bool was_taken_off = Counted::has(to, Counted::kGray) || Counted::has(to, Counted::kWhite);
        Counted::clear(to, Counted::kGray);
        Counted::clear(to, Counted::kWhite);
        if (was_taken_off) restored_.push_back(to);
      });
    });
  }
  void gather(Object* from) {
    drain(open_, from, [&](Object* object) {
      if (!Counted::has(object, Counted::kWhite)) return;
      Counted::clear(object, Counted::kWhite);
      garbage_.push_back(object);
      each_reference(object, [&](Object* to) { open_.push_back(to); });
    });
  }
  // Whether the object had another color before.
  static bool color(Object* object, Counted::Flag flag) noexcept {
    if (Counted::has(object, flag)) return false;
    Counted::set(object, flag);
    return true;
  }
  // Calls visit(object) for `from`, and then for whatever is on the stack.
  template <class Visit>
  static void drain(std::vector<Object*>& stack, Object* from, Visit visit) {
    stack.push_back(from);
    while (!stack.empty()) {
      Object* object = stack.back();
      stack.pop_back();
      visit(object);
    }
  }
  template <class Visit>
  static void each_reference(Object* object, Visit visit) {
    Counted::each_field(object, [&](Object* to) {
      if (to != nullptr) visit(to);
    });
  }

  Telemetry& telemetry_;
  std::vector<Object*> suspects_;
  std::vector<Object*> garbage_;
  std::vector<Object*> open_;
  std::vector<Object*> restored_;
};

}  // namespace memtool::graph
