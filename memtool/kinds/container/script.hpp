// A script of operations on containers of any type, whatever the source of their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "allocators/concept/any_heap.hpp"
#include "kinds/container/image.hpp"
#include "kinds/container/row.hpp"

namespace memtool::containers {

// How containers get the memory of a heap.
enum class Through { std, scoped, propagated, pmr };

// The results of operations.
struct Tally {
  std::uint64_t elements = 0;  // visited, copied or destroyed
  std::uint64_t sum = 0;       // of all values read
};

// Receives the memory that a traversal reads, in its order.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void piece(const void* at, std::size_t bytes) = 0;
  // The whole block in which this address lies: a node.
  virtual void node(const void* inside) = 0;
};

using Heaps = std::vector<std::unique_ptr<AnyHeap>>;

class Script {
 public:
  virtual ~Script() = default;
  // Throws std::bad_alloc if a heap is out of memory.
  virtual void run(std::span<const std::uint64_t> operations, Tally& tally) = 0;
  // The contents of each element of a container, in order; for a map, the key first, in the order of keys.
  [[nodiscard]] virtual std::vector<std::uint64_t> contents(std::size_t container) const = 0;
  virtual void visit(std::size_t container, Visitor& visitor) const = 0;
  // The number of elements in all containers.
  [[nodiscard]] virtual std::uint64_t elements() const = 0;
};

// Where the containers of a script lie, and through what they get memory.
struct Rooms {
  Room sources;
  Room containers;
};

// Makes a number of empty containers, on one heap or each on its own. They must be destroyed before the heaps and
// rooms. Returns nullptr if the library of this build lacks the type.
std::unique_ptr<Script> make_script(Through through, Type type, std::size_t containers, const Heaps& heaps,
                                    Rooms& rooms);

// Each is compiled in its own file.
using MakeScript = std::unique_ptr<Script>(Type, std::size_t, const Heaps&, Rooms&);
MakeScript make_std, make_scoped, make_propagated, make_pmr;

}  // namespace memtool::containers
