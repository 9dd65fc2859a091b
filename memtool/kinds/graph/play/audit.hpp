// Plays a program with everything verified. A second graph determines what each root and each field must hold, and what
// is reachable.
#pragma once

#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "kinds/graph/play/play.hpp"

namespace memtool::graph {

// The graph that the program has built, by numbers: the first object is 1, and 0 is null.
class Audit {
 public:
  struct Shadow {
    std::uint64_t first;  // index of its first field
    std::uint32_t references;
    std::uint32_t body;
    std::uint32_t seen;  // the last round in which it was seen
  };
  explicit Audit(std::size_t roots) : objects_(1), roots_(roots) {}

  std::uint64_t verifications = 0;  // verifications of the whole graph
  std::uint64_t operations = 0;
  std::string complaint;
  std::function<void()> made_one;  // called when a new object is in its root

  void complain(const char* what, std::uint64_t object) {
    if (!complaint.empty()) return;
    char words[160];
    std::snprintf(words, sizeof words, "object %llu: %s", static_cast<unsigned long long>(object), what);
    complaint = words;
  }
  std::uint32_t make(std::uint32_t body, std::uint32_t references) {
    objects_.push_back({fields_.size(), references, body, 0});
    fields_.resize(fields_.size() + references);
    return static_cast<std::uint32_t>(objects_.size() - 1);
  }
  [[nodiscard]] const Shadow& operator[](std::uint32_t number) const noexcept { return objects_[number]; }
  [[nodiscard]] std::uint32_t& field(std::uint32_t number, std::uint32_t index) noexcept {
    return fields_[objects_[number].first + index];
  }
  [[nodiscard]] std::uint32_t& root(std::uint32_t index) noexcept { return roots_[index]; }
  [[nodiscard]] std::size_t made() const noexcept { return objects_.size() - 1; }
  [[nodiscard]] bool is_reachable(std::uint32_t number) const noexcept { return objects_[number].seen == round_; }
  [[nodiscard]] std::uint32_t round() const noexcept { return round_; }

  // Compares everything reachable from the roots with the graph. Visits each object once, with its number.
  template <class Visit>
  void verify(Object** roots, Visit visit) {
    ++verifications;
    ++round_;
    for (std::size_t i = 0; i < roots_.size(); ++i) follow(roots[i], roots_[i]);
    while (!open_.empty() && complaint.empty()) {
      const auto [object, number] = open_.back();
      open_.pop_back();
      const Shadow& shadow = objects_[number];
      for (std::uint32_t i = 0; i < shadow.references; ++i) follow(field_of(object, i), fields_[shadow.first + i]);
      visit(object, number);
    }
    open_.clear();
  }
  // The word behind an object's references holds its number in the upper half and its slot in the lower half.
  static std::uint32_t number_in(Object* object, std::size_t references) noexcept {
    return static_cast<std::uint32_t>(word_of(object, references) >> 32);
  }
  // Every word of the payload holds what was written there.
  void verify_payload(Object* object, std::uint32_t number) {
    const Shadow& shadow = objects_[number];
    const std::size_t first = shadow.references;
    const std::uint64_t stamp = word_of(object, first);
    for (std::size_t i = first; i < shadow.body / 8; ++i)
      if (word_of(object, i) != stamp || stamp >> 32 != number) return complain("its payload was overwritten", number);
  }

 private:
  void follow(Object* object, std::uint32_t number) {
    if ((object == nullptr) != (number == 0))
      return complain("a reference to it is null, or one to null is not", number);
    if (number == 0) return;
    Shadow& shadow = objects_[number];
    // A referenced object is read only if it is the expected one.
    if (number_in(object, shadow.references) != number)
      return complain("a reference leads elsewhere: it was reclaimed or moved", number);
    if (shadow.seen == round_) return;
    shadow.seen = round_;
    open_.emplace_back(object, number);
  }

  std::vector<Shadow> objects_;
  std::vector<std::uint32_t> fields_;
  std::vector<std::uint32_t> roots_;
  std::vector<std::pair<Object*, std::uint32_t>> open_;
  std::uint32_t round_ = 0;
};

// A target that verifies each of its operations against an audit.
template <class T>
class Audited {
 public:
  static constexpr bool kIsExplicit = T::kIsExplicit;
  static constexpr std::uint64_t kBetween = 1 << 16;  // allocations between two verifications of the whole graph

  Audited(T& target, Object** roots, Audit& audit, std::size_t slots)
      : target_(target), roots_(roots), audit_(audit), by_slot_(kIsExplicit ? slots : 0) {}

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t slot) {
    ++audit_.operations;
    if (audit_.made() % kBetween == kBetween - 1) look();
    if (!audit_.complaint.empty()) return nullptr;
    Object* object = target_.allocate(body, references, slot);
    if (object == nullptr) return nullptr;
    if (reinterpret_cast<std::uintptr_t>(object) % 8 != 0) audit_.complain("it is not aligned", audit_.made() + 1);
    newest_ = audit_.make(body, references);
    if (kIsExplicit) by_slot_[slot] = {object, newest_};
    return object;
  }
  [[nodiscard]] std::uint64_t stamp(std::uint32_t slot) const noexcept { return word::pair(newest_, slot); }
  void set_new(std::uint32_t root, Object* object) {
    target_.set_new(root, object);
    audit_.root(root) = newest_;
    if (audit_.made_one) audit_.made_one();
  }
  void load(std::uint32_t to, std::uint32_t from, std::uint32_t field) {
    ++audit_.operations;
    if (!is_itself(from)) return;
    target_.load(to, from, field);
    audit_.root(to) = audit_.field(audit_.root(from), field);
    static_cast<void>(is_itself(to));
  }
  void store(std::uint32_t into, std::uint32_t field, std::uint32_t value) {
    ++audit_.operations;
    if (!is_itself(into) || (value != kNullRoot && !is_itself(value))) return;
    target_.store(into, field, value);
    audit_.field(audit_.root(into), field) = value == kNullRoot ? 0 : audit_.root(value);
  }
  void copy(std::uint32_t to, std::uint32_t from) {
    ++audit_.operations;
    target_.copy(to, from);
    audit_.root(to) = audit_.root(from);
  }
  void clear(std::uint32_t root) {
    ++audit_.operations;
    target_.clear(root);
    audit_.root(root) = 0;
  }
  [[nodiscard]] std::uint64_t access(std::uint32_t root, std::uint32_t references) {
    ++audit_.operations;
    if (!is_itself(root)) return 0;
    return static_cast<std::uint32_t>(target_.access(root, references));
  }
  void free(std::uint32_t slot, std::uint32_t body) {
    const auto [object, number] = by_slot_[slot];
    if (!audit_.complaint.empty()) return;
    audit_.verify_payload(object, number);
    for (std::size_t i = 0; i < body / 8; ++i) word_of(object, i) = kPoison;
    target_.free(slot, body);
  }
  void control(Control what) { target_.control(what); }

  // Verifies the whole graph with all payloads.
  void look() {
    audit_.verify(roots_, [&](Object* object, std::uint32_t number) { audit_.verify_payload(object, number); });
  }

 private:
  // Whether a root holds the expected object or null.
  bool is_itself(std::uint32_t root) {
    if (!audit_.complaint.empty()) return false;
    const std::uint32_t number = audit_.root(root);
    Object* object = roots_[root];
    if ((object == nullptr) != (number == 0)) {
      audit_.complain("a root that must hold it is null, or one that must be null is not", number);
    } else if (number != 0 && Audit::number_in(object, audit_[number].references) != number) {
      audit_.complain("a root that must hold it leads elsewhere: it was reclaimed or moved", number);
    }
    return audit_.complaint.empty();
  }

  T& target_;
  Object** roots_;
  Audit& audit_;
  std::uint32_t newest_ = 0;
  std::vector<std::pair<Object*, std::uint32_t>> by_slot_;
};

}  // namespace memtool::graph
