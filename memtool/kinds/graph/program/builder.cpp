#include "kinds/graph/program/builder.hpp"

#include <algorithm>
#include <functional>
#include <span>
#include <stdexcept>

namespace memtool::graph {
namespace {

[[noreturn]] void refuse(const std::string& words) {
  throw std::invalid_argument(words);
}

}  // namespace

std::uint64_t& Builder::operation(std::uint64_t word) {
  if (++now_ == kNobody) refuse("a program has at most 4,294,967,294 operations; repeat them");
  words_.push_back(word);
  return words_.back();
}

void Builder::hold(Root root, std::uint32_t object) {
  if (root >= kMostRoots) refuse("a program has at most 268,435,456 roots");
  if (root >= roots_.size()) roots_.resize(root + 1, kNobody);
  lose(roots_[root]);
  roots_[root] = object;
}

std::uint32_t Builder::held_by(Root root) const {
  if (root >= kNullRoot) refuse("only the first 1,048,575 roots can be read");
  if (is_null(root)) refuse("root " + std::to_string(root) + " holds no object");
  return roots_[root];
}

std::size_t Builder::field_at(Root root, std::uint32_t field) const {
  const Object& object = objects_[held_by(root)];
  if (field >= object.references)
    refuse("the object of root " + std::to_string(root) + " has " + std::to_string(object.references) +
           " references, and none with the number " + std::to_string(field));
  return object.first_field + field;
}

void Builder::lose(std::uint32_t object) noexcept {
  if (object != kNobody) objects_[object].lost = now_;
}

void Builder::allocate(Root to, std::uint32_t references, std::uint32_t payload) {
  if (references > kMostFields) refuse("an object has at most 1,048,575 references");
  const std::uint64_t body =
      std::uint64_t{references} * 8 + std::max<std::uint64_t>(8, (std::uint64_t{payload} + 7) / 8 * 8);
  if (body > 0x7fffffff) refuse("an object has at most 2 GiB");
  operation(word::with_size(Op::allocate, to, body));
  const auto id = static_cast<std::uint32_t>(objects_.size());
  words_.push_back(word::pair(references, id));
  objects_.push_back({fields_.size(), references, static_cast<std::uint32_t>(body), 0, kNobody});
  fields_.resize(fields_.size() + references, kNobody);
  hold(to, id);
}

void Builder::load(Root to, Root from, std::uint32_t field) {
  operation(word::make(Op::load, to, from, field));
  hold(to, fields_[field_at(from, field)]);
}

void Builder::store(Root into, std::uint32_t field, Root value) {
  operation(word::make(Op::store, into, value, field));
  const std::size_t at = field_at(into, field);
  if (!open_.empty() && roots_[into] < repeats_[open_.back()].first_object)
    refuse("what is repeated changes an object that was there before it");
  lose(fields_[at]);
  fields_[at] = value == kNullRoot ? kNobody : held_by(value);
}

void Builder::copy(Root to, Root from) {
  operation(word::make(Op::copy, to, from));
  hold(to, held_by(from));
}

void Builder::clear(Root at) {
  operation(word::with_size(Op::clear, at, 0));
  hold(at, kNobody);
}

void Builder::access(Root at) {
  const std::uint32_t id = held_by(at);
  operation(word::make(Op::access, at, 0, objects_[id].references));
  words_.push_back(id);  // for the checksum; removed when the program is finished
}

void Builder::control(Control what) {
  operation(word::make(Op::control, 0, 0, static_cast<std::uint64_t>(what)));
  if (what == Control::safe_point) safe_points_.push_back(now_);
}

void Builder::begin_repeat(std::uint64_t times) {
  if (open_.size() == kMostLoops) refuse("repeats lie too deep within each other");
  operation(static_cast<std::uint64_t>(Op::repeat) << 60 | times);
  open_.push_back(repeats_.size());
  repeats_.push_back({times, now_, 0, static_cast<std::uint32_t>(objects_.size()), 0, roots_});
  control(Control::scope_begin);
}

void Builder::end_repeat() {
  control(Control::scope_end);
  operation(word::make(Op::again));
  Repeat& repeat = repeats_[open_.back()];
  open_.pop_back();
  repeat.ended = now_;
  repeat.last_object = static_cast<std::uint32_t>(objects_.size());
  repeat.roots.resize(roots_.size(), kNobody);
  if (repeat.roots != roots_) refuse("what is repeated leaves other roots than it found");
  repeat.roots.clear();
}

// Merlin (Hertz, Blackburn, Moss, McKinley and Stefanović, "Error-free garbage collection traces: how to cheat and not
// get caught", SIGMETRICS 2002): an object dies when the last of all objects that lead to it, including itself, loses
// its last reference. This goes backwards from the latest such moment: every object reached for the first time died
// then.
void Builder::find_deaths(std::vector<std::uint32_t>& dead) {
  std::vector<bool> seen(objects_.size());
  std::vector<std::uint32_t> open;
  const auto reach = [&](std::uint32_t from, auto visit) {
    if (from == kNobody || seen[from]) return;
    seen[from] = true;
    open.push_back(from);
    while (!open.empty()) {
      const std::uint32_t id = open.back();
      open.pop_back();
      visit(id);
      const Object& object = objects_[id];
      for (std::uint32_t i = object.references; i-- > 0;) {
        const std::uint32_t next = fields_[object.first_field + i];
        if (next == kNobody || seen[next]) continue;
        seen[next] = true;
        open.push_back(next);
      }
    }
  };
  for (const std::uint32_t held : roots_) reach(held, [](std::uint32_t) {});
  std::vector<std::uint32_t> by_loss;
  for (std::uint32_t id = 0; id < objects_.size(); ++id)
    if (!seen[id]) by_loss.push_back(id);
  std::ranges::stable_sort(by_loss, std::greater{}, [&](std::uint32_t id) { return objects_[id].lost; });
  dead.reserve(by_loss.size());
  for (const std::uint32_t id : by_loss) {
    const std::uint32_t when = objects_[id].lost;
    reach(id, [&](std::uint32_t reached) {
      objects_[reached].died = when;
      dead.push_back(reached);
    });
  }
}

void Builder::move_to_scope_ends() {
  for (Object& object : objects_) {
    const auto next = std::ranges::lower_bound(safe_points_, object.died);
    object.died = object.died == kNobody || next == safe_points_.end() ? kNobody : *next;
  }
}

void Builder::verify_repeats() const {
  if (!open_.empty()) refuse("a repeat has no end");
  for (const Repeat& repeat : repeats_)
    for (std::uint32_t id = repeat.first_object; id < repeat.last_object; ++id)
      if (objects_[id].died > repeat.ended) refuse("what is repeated leaves an object behind");
}

// Turns the operations as written into the words of the image: slots for objects, and frees after deaths.
class Weaver {
 public:
  explicit Weaver(Builder& builder) : of_(builder), slots_(builder.objects_.size()), is_live_(builder.objects_.size()) {
    head_.magic = kMagic;
    head_.roots = builder.roots_.size();
    head_.smallest = head_.first_not_lifo = head_.first_not_fifo = kNone;
  }

  std::vector<std::uint64_t> weave(const std::vector<std::uint32_t>& dead) {
    std::size_t next = 0;
    std::uint32_t now = 0;
    for (std::size_t at = 0; at < of_.words_.size();) {
      at += rewrite_operation(at);
      ++now;
      const std::size_t first = next;
      while (next < dead.size() && of_.objects_[dead[next]].died == now) ++next;
      if (next > first) free({dead.data() + first, dead.data() + next});
    }
    words_.push_back(word::make(Op::end));
    head_.words = words_.size();
    if (head_.allocations == 0) head_.smallest = 0;
    std::vector<std::uint64_t> image(sizeof head_ / 8);
    std::copy_n(reinterpret_cast<const std::uint64_t*>(&head_), image.size(), image.data());
    image.insert(image.end(), words_.begin(), words_.end());
    return image;
  }

 private:
  // Returns the number of words that it has read.
  std::size_t rewrite_operation(std::size_t at) {
    const std::uint64_t word = of_.words_[at];
    switch (word::op(word)) {
      case Op::allocate:
        words_.push_back(word);
        allocate(of_.words_[at + 1]);
        return 2;
      case Op::access:
        words_.push_back(word);
        head_.checksum += times_ * slots_[of_.words_[at + 1]];
        head_.operations += times_;
        return 2;
      case Op::control:
        if (word::c(word) == static_cast<std::uint32_t>(Control::safe_point)) head_.safe_points += times_;
        if (word::c(word) == static_cast<std::uint32_t>(Control::scope_begin)) head_.scopes += times_;
        break;
      case Op::repeat:
        loops_.push_back(times_);
        times_ *= word & ~std::uint64_t{0} >> 4;
        break;
      case Op::again:
        times_ = loops_.back();
        loops_.pop_back();
        break;
      default:
        (word::op(word) == Op::store ? head_.stores : head_.root_writes) += times_;
        head_.operations += times_;
    }
    words_.push_back(word);
    return 1;
  }

  void allocate(std::uint64_t second) {
    const std::uint32_t id = word::low(second);
    const std::uint64_t body = of_.objects_[id].body;
    std::uint32_t slot = static_cast<std::uint32_t>(head_.slots);
    if (free_slots_.empty()) {
      ++head_.slots;
    } else {
      slot = free_slots_.back();
      free_slots_.pop_back();
    }
    slots_[id] = slot;
    is_live_[id] = true;
    words_.push_back(word::pair(word::high(second), slot));
    head_.operations += times_;
    head_.allocations += times_;
    head_.root_writes += times_;
    head_.allocated_bytes += times_ * body;
    head_.smallest = std::min(head_.smallest, body);
    head_.largest = std::max(head_.largest, body);
    count(body, std::plus{});
    head_.peak_live_objects = std::max(head_.peak_live_objects, live_[0]);
    head_.peak_live_bytes = std::max(head_.peak_live_bytes, live_[1]);
    head_.peak_live_with_header = std::max(head_.peak_live_with_header, live_[2]);
    head_.peak_live_with_count = std::max(head_.peak_live_with_count, live_[3]);
    by_age_.push_back(id);
  }

  template <class Way>
  void count(std::uint64_t body, Way way) {
    const std::uint64_t parts[] = {1, body, in_heap(body, 8), in_heap(body, 16)};
    for (std::size_t i = 0; i < 4; ++i) live_[i] = way(live_[i], parts[i]);
  }

  void free(std::span<const std::uint32_t> dead) {
    words_.push_back(word::make(Op::free) | dead.size());
    for (const std::uint32_t id : dead) {
      note_order(id);
      const std::uint64_t body = of_.objects_[id].body;
      words_.push_back(word::pair(body, slots_[id]));
      free_slots_.push_back(slots_[id]);
      is_live_[id] = false;
      count(body, std::minus{});
    }
    head_.frees += times_ * dead.size();
  }

  void note_order(std::uint32_t id) {
    while (oldest_ < by_age_.size() && !is_live_[by_age_[oldest_]]) ++oldest_;
    if (head_.first_not_fifo == kNone && by_age_[oldest_] != id) head_.first_not_fifo = head_.operations;
    if (head_.first_not_lifo != kNone) return;
    while (!is_live_[by_age_.back()]) by_age_.pop_back();
    if (by_age_.back() != id) head_.first_not_lifo = head_.operations;
  }

  Builder& of_;
  Head head_{};
  std::vector<std::uint64_t> words_;
  std::vector<std::uint32_t> slots_;
  std::vector<bool> is_live_;
  std::vector<std::uint32_t> free_slots_;
  std::vector<std::uint32_t> by_age_;
  std::size_t oldest_ = 0;
  std::uint64_t live_[4] = {};
  std::uint64_t times_ = 1;
  std::vector<std::uint64_t> loops_;
};

std::vector<std::uint64_t> Builder::finish(Frees frees) {
  std::vector<std::uint32_t> dead;
  find_deaths(dead);
  if (frees == Frees::at_scope_end) move_to_scope_ends();
  verify_repeats();
  std::erase_if(dead, [&](std::uint32_t id) { return objects_[id].died == kNobody; });
  std::ranges::stable_sort(dead, std::less{}, [&](std::uint32_t id) { return objects_[id].died; });
  return Weaver(*this).weave(dead);
}

}  // namespace memtool::graph
