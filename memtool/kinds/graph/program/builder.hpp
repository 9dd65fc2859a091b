// Builds a graph program. It maintains the graph during building, to find where each object becomes unreachable.
#pragma once

#include <cstdint>
#include <vector>

#include "kinds/graph/program/image.hpp"

namespace memtool::graph {

// When the program frees an object on an explicit allocator.
enum class Frees : std::uint64_t {
  at_death,      // after the operation that makes it unreachable (Hertz and Berger's oracle)
  at_scope_end,  // at the next safe point, like a programmer who frees at the end of a request
};

// Every call throws std::invalid_argument, with one line, for an impossible operation.
class Builder {
 public:
  using Root = std::uint32_t;

  // `payload` bytes are rounded up to words; an object has at least one.
  void allocate(Root to, std::uint32_t references, std::uint32_t payload);
  void load(Root to, Root from, std::uint32_t field);
  void store(Root into, std::uint32_t field, Root value);  // kNullRoot: null
  void copy(Root to, Root from);
  void clear(Root root);
  void access(Root root);
  void control(Control control);
  // The operations in between are repeated this many times. They must leave neither objects nor changed roots behind.
  void begin_repeat(std::uint64_t times);
  void end_repeat();

  [[nodiscard]] bool is_null(Root root) const noexcept { return root >= roots_.size() || roots_[root] == kNobody; }
  [[nodiscard]] bool is_null(Root root, std::uint32_t field) const { return fields_[field_at(root, field)] == kNobody; }

  // The header, followed by the words.
  [[nodiscard]] std::vector<std::uint64_t> finish(Frees frees);

 private:
  static constexpr std::uint32_t kNobody = 0xffffffff;
  struct Object {
    std::uint64_t first_field;
    std::uint32_t references;
    std::uint32_t body;
    std::uint32_t lost;  // when it last lost a reference
    std::uint32_t died;  // kNobody: never
  };
  struct Repeat {
    std::uint64_t times;
    std::uint32_t began;
    std::uint32_t ended;
    std::uint32_t first_object;
    std::uint32_t last_object;
    std::vector<std::uint32_t> roots;
  };

  std::uint64_t& operation(std::uint64_t word);
  void hold(Root root, std::uint32_t object);
  [[nodiscard]] std::uint32_t held_by(Root root) const;
  [[nodiscard]] std::size_t field_at(Root root, std::uint32_t field) const;
  void lose(std::uint32_t object) noexcept;

  void find_deaths(std::vector<std::uint32_t>& dead);
  void move_to_scope_ends();
  void verify_repeats() const;
  friend class Weaver;

  std::vector<std::uint64_t> words_;
  std::vector<Object> objects_;
  std::vector<std::uint32_t> fields_;
  std::vector<std::uint32_t> roots_;
  std::vector<std::uint32_t> safe_points_;  // times of the safe points
  std::vector<Repeat> repeats_;
  std::vector<std::size_t> open_;
  std::uint32_t now_ = 0;  // number of operations and controls written
};

}  // namespace memtool::graph
