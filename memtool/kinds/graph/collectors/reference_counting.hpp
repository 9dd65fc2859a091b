// Counts references. Immediate counting covers roots and fields, and frees an object when its last reference goes.
// Deferred counting covers fields only; objects without a reference are in a table until the roots are scanned. Cycles
// stay, or trial deletion finds them.
#pragma once

#include <optional>
#include <vector>

#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/collectors/trial_deletion.hpp"

namespace memtool::graph {

template <bool kDeferred>
class ReferenceCounting : public OnBlocks<ReferenceCounting<kDeferred>, 16> {
  using Base = OnBlocks<ReferenceCounting, 16>;
  using Base::heap_;

 public:
  explicit ReferenceCounting(Surroundings& in) : Base(in), trials_(in.telemetry) {
    if (this->trigger_ == 0) this->trigger_ = kDeferred ? in.settings.limit / 8 : 0;
  }

  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t slot) {
    Object* object = Base::allocate(body, references, slot);
    if (object == nullptr) [[unlikely]]
      return nullptr;
    Counted::count(object) = 0;
    if constexpr (kDeferred) note_zero(object);
    return object;
  }

  void set_new(std::uint32_t root, Object* object) { put(this->roots_[root], object); }
  void load(std::uint32_t to, std::uint32_t from, std::uint32_t field) {
    put(this->roots_[to], field_of(this->roots_[from], field));
  }
  void copy(std::uint32_t to, std::uint32_t from) { put(this->roots_[to], this->roots_[from]); }
  void clear(std::uint32_t root) { put(this->roots_[root], nullptr); }
  void write(Object* into, std::uint32_t field, Object* value) {
    Object*& at = field_of(into, field);
    if (value != nullptr) ++Counted::count(value);
    Object* old = at;
    at = value;
    if (old != nullptr) lose(old);
  }

  // Scans the roots, if that was deferred, and checks for cycles.
  void collect() {
    const Pausing pausing(this->telemetry(), Cause::whole);
    ++this->telemetry().collections;
    if constexpr (kDeferred) hold_roots();
    if (this->in_.settings.finds_cycles) trials_.run([&](Object* dead) { heap_.free(this->cell(dead)); });
    if constexpr (kDeferred) let_roots_go();
    heap_.release_empty();
  }
  [[nodiscard]] std::size_t apart_bytes() const noexcept {
    return heap_.apart_bytes() + zeroes_.capacity() * sizeof(Object*) + trials_.apart_bytes();
  }

 private:
  friend Base;
  static constexpr std::size_t kManyDeaths = 256;  // at once; from this number on they count as a pause

  void put(Object*& root, Object* value) {
    if constexpr (!kDeferred) {
      if (value != nullptr) ++Counted::count(value);
      if (root != nullptr) {
        Object* old = root;
        root = value;
        return lose(old);
      }
    }
    root = value;
  }
  void lose(Object* object) {
    if (--Counted::count(object) == 0) {
      if constexpr (kDeferred) {
        note_zero(object);
      } else {
        free_all_from(object);
      }
    } else if (this->in_.settings.finds_cycles) {
      trials_.suspect(object);
    }
  }
  void note_zero(Object* object) {
    if (Counted::has(object, Counted::kInTable)) return;
    Counted::set(object, Counted::kInTable);
    zeroes_.push_back(object);
  }

  // Frees an object without references, and all objects that only it led to. The dead are linked through their counts.
  void free_all_from(Object* first) {
    if (!this->in_.settings.reclaims) return;
    std::size_t freed = 0;
    std::optional<Pausing> pausing;
    Counted::link(first) = nullptr;
    for (Object* next = first; next != nullptr;) {
      Object* dead = next;
      next = Counted::link(dead);
      this->each_field(dead, [&](Object* to) {
        if (to == nullptr) return;
        if (--Counted::count(to) != 0) {
          if (this->in_.settings.finds_cycles) trials_.suspect(to);
          return;
        }
        if (Counted::has(to, Counted::kInTable)) return;  // the scan of the table will handle it
        Counted::link(to) = next;
        next = to;
      });
      if (++freed == kManyDeaths && !is_collecting_) pausing.emplace(this->telemetry(), Cause::deaths);
      if (Counted::has(dead, Counted::kSuspect)) {
        Counted::count(dead) = 0;
        Counted::set(dead, Counted::kDead);  // the trial deletion still knows it, and will free it
      } else {
        heap_.free(this->cell(dead));
      }
    }
  }

  // Counts the references of the roots, and frees objects that then have none.
  void hold_roots() {
    is_collecting_ = true;
    for (std::size_t i = 0; i < this->in_.roots.count; ++i)
      if (Object* held = this->in_.roots.first[i]) ++Counted::count(held);
    for (std::size_t i = 0; i < zeroes_.size(); ++i) {
      Object* object = zeroes_[i];
      Counted::clear(object, Counted::kInTable);
      if (Counted::count(object) == 0) free_all_from(object);
    }
    zeroes_.clear();
    is_collecting_ = false;
  }
  void let_roots_go() {
    for (std::size_t i = 0; i < this->in_.roots.count; ++i)
      if (Object* held = this->in_.roots.first[i])
        if (--Counted::count(held) == 0) note_zero(held);
  }
  // Processes only the table of objects without references.
  void reconcile() {
    {
      const Pausing pausing(this->telemetry(), Cause::roots);
      ++this->telemetry().minor;
      hold_roots();
      let_roots_go();
    }
    this->forget_given_out();
    this->done();
  }

  [[gnu::noinline]] void* slowly(std::size_t granules) {
    if (this->in_.settings.reclaims && this->is_due()) {
      if (kDeferred && trials_.suspects() < kManySuspects) {
        reconcile();
      } else {
        this->run();
      }
    } else if (this->in_.settings.finds_cycles && trials_.suspects() >= kManySuspects && !this->is_disabled_ &&
               !this->in_.settings.at_safe_points) {
      this->run();
    }
    void* cell = heap_.refill(granules);
    if (cell != nullptr) return cell;
    heap_.release_empty();
    cell = heap_.refill(granules);
    if (cell != nullptr || (!kDeferred && !this->in_.settings.finds_cycles)) return cell;
    this->note_forced();
    this->run();
    return heap_.refill(granules);
  }

  static constexpr std::size_t kManySuspects = 1 << 16;
  TrialDeletion trials_;
  std::vector<Object*> zeroes_;
  bool is_collecting_ = false;
};

}  // namespace memtool::graph
