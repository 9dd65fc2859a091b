// A script of operations on containers, whatever they are and however they come by their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "allocators/concept/any_heap.hpp"
#include "kinds/container/image.hpp"
#include "kinds/container/row.hpp"

namespace memtool::containers {

// How containers come by the memory of a heap.
enum class Through { std, scoped, propagated, pmr };

// What operations have come to.
struct Tally {
  std::uint64_t elements = 0;  // visited, copied or destroyed
  std::uint64_t sum = 0;       // of all that was read
};

// Is told what memory a traversal reads, in its order.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void piece(const void* at, std::size_t bytes) = 0;
  // The whole block that this address lies in: a node.
  virtual void node(const void* inside) = 0;
};

using Heaps = std::vector<std::unique_ptr<AnyHeap>>;

class Script {
 public:
  virtual ~Script() = default;
  // Throws std::bad_alloc where a heap has no more memory.
  virtual void run(std::span<const std::uint64_t> operations, Tally& tally) = 0;
  // What each element of a container holds, in their order; of a map the key first, and by keys.
  [[nodiscard]] virtual std::vector<std::uint64_t> contents(std::size_t container) const = 0;
  virtual void visit(std::size_t container, Visitor& visitor) const = 0;
  // How many there are in all containers.
  [[nodiscard]] virtual std::uint64_t elements() const = 0;
};

// Where the containers of a script lie, and what they come by memory through.
struct Rooms {
  Room sources;
  Room containers;
};

// So many empty containers, on one heap or each on its own; they go before the heaps and rooms do. nullptr: the library
// that this was built with has none of the type.
std::unique_ptr<Script> make_script(Through through, Type type, std::size_t containers, const Heaps& heaps,
                                    Rooms& rooms);

// Each compiled in a file of its own.
using MakeScript = std::unique_ptr<Script>(Type, std::size_t, const Heaps&, Rooms&);
MakeScript make_std, make_scoped, make_propagated, make_pmr;

}  // namespace memtool::containers
