#include "kinds/graph/program/shapes.hpp"

#include <algorithm>
#include <stdexcept>

#include "engine/generate/random.hpp"

namespace memtool::graph {
namespace {

using Root = Builder::Root;

// The arguments of a shape, in the order of memtool/kinds/graph/program.py.
class Arguments {
 public:
  explicit Arguments(std::span<const std::uint64_t> words) noexcept : words_(words) {}
  std::uint64_t next() { return words_[at_++]; }
  std::uint32_t next_small() { return static_cast<std::uint32_t>(next()); }
  [[nodiscard]] bool ended() const noexcept { return at_ == words_.size(); }

 private:
  std::span<const std::uint64_t> words_;
  std::size_t at_ = 0;
};

class Trees {
 public:
  Trees(Builder& builder, std::uint32_t payload) noexcept : to_(builder), payload_(payload) {}

  // Children before their parent, in the order in which `Node(bottom_up(d - 1), bottom_up(d - 1))` is evaluated.
  void bottom_up(Root root, unsigned depth) {
    if (depth > 0) {
      bottom_up(root + 1, depth - 1);
      bottom_up(root + 2, depth - 1);
    }
    to_.allocate(root, 2, payload_);
    if (depth == 0) return;
    to_.store(root, 0, root + 1);
    to_.store(root, 1, root + 2);
    to_.clear(root + 1);
    to_.clear(root + 2);
  }
  // The parent before its children, each linked as soon as it exists.
  void top_down(Root root, unsigned depth) {
    to_.allocate(root, 2, payload_);
    fill(root, depth);
  }
  void visit(Root root, unsigned depth) {
    to_.access(root);
    if (depth == 0) return;
    for (std::uint32_t child = 0; child < 2; ++child) {
      to_.load(root + 1, root, child);
      visit(root + 1, depth - 1);
    }
    to_.clear(root + 1);
  }

 private:
  void fill(Root root, unsigned depth) {
    if (depth == 0) return;
    for (std::uint32_t child = 0; child < 2; ++child) {
      to_.allocate(root + 1, 2, payload_);
      to_.store(root, child, root + 1);
      fill(root + 1, depth - 1);
    }
    to_.clear(root + 1);
  }
  Builder& to_;
  std::uint32_t payload_;
};

constexpr unsigned kLeastDepth = 4;

// binary-trees of the Computer Language Benchmarks Game.
void binary_trees(Builder& to, Arguments& arguments) {
  const auto depth = static_cast<unsigned>(arguments.next());
  Trees trees(to, arguments.next_small());
  const std::uint64_t iterations = arguments.next();  // for the largest tree; 0: as in the benchmarks game
  constexpr Root kLongLived = 0;
  constexpr Root kTree = 1;
  trees.bottom_up(kTree, depth + 1);
  trees.visit(kTree, depth + 1);
  to.clear(kTree);
  to.control(Control::safe_point);
  trees.bottom_up(kLongLived, depth);
  for (unsigned of = std::min(kLeastDepth, depth); of <= depth; of += 2) {
    to.begin_repeat((iterations == 0 ? std::uint64_t{1} << kLeastDepth : iterations) << (depth - of));
    trees.bottom_up(kTree, of);
    trees.visit(kTree, of);
    to.clear(kTree);
    to.control(Control::safe_point);
    to.end_repeat();
  }
  trees.visit(kLongLived, depth);
}

constexpr std::uint64_t nodes_of(unsigned depth) noexcept {
  return (std::uint64_t{2} << depth) - 1;
}

// GCBench: a tree that stretches the heap, a tree and an array that live to the end, and trees of several depths with
// the same total number of nodes, half of them built from the top and half from the bottom.
void gcbench(Builder& to, Arguments& arguments) {
  const auto depth = static_cast<unsigned>(arguments.next());
  Trees trees(to, arguments.next_small());
  const std::uint32_t array_bytes = arguments.next_small();
  constexpr Root kArray = 0;
  constexpr Root kLongLived = 1;
  constexpr Root kTree = 2;
  trees.bottom_up(kTree, depth + 2);
  to.clear(kTree);
  to.control(Control::safe_point);
  trees.top_down(kLongLived, depth);
  to.allocate(kArray, 0, array_bytes);
  for (unsigned of = std::min(kLeastDepth, depth); of <= depth; of += 2) {
    const std::uint64_t times = std::max<std::uint64_t>(1, 2 * nodes_of(depth + 2) / nodes_of(of));
    for (const bool from_top : {true, false}) {
      to.begin_repeat(times);
      from_top ? trees.top_down(kTree, of) : trees.bottom_up(kTree, of);
      to.clear(kTree);
      to.control(Control::safe_point);
      to.end_repeat();
    }
  }
  trees.visit(kLongLived, depth);
  to.access(kArray);
}

// Linked lists of a given length, one after another, each built and read.
void lists(Builder& to, Arguments& arguments) {
  const std::uint64_t length = arguments.next();
  const std::uint32_t payload = arguments.next_small();
  const std::uint64_t rounds = arguments.next();
  constexpr Root kFirst = 0;
  constexpr Root kNew = 1;
  to.begin_repeat(rounds);
  for (std::uint64_t i = 0; i < length; ++i) {
    to.allocate(kNew, 1, payload);
    if (!to.is_null(kFirst)) to.store(kNew, 0, kFirst);
    to.copy(kFirst, kNew);
  }
  to.copy(kNew, kFirst);
  for (std::uint64_t i = 0; i < length; ++i) {
    to.access(kNew);
    to.load(kNew, kNew, 0);
  }
  to.clear(kFirst);
  to.control(Control::safe_point);
  to.end_repeat();
}

constexpr std::uint64_t kOperationsOfAFrame = 1000;

class Sizes {
 public:
  explicit Sizes(Arguments& arguments) : least_(arguments.next()), most_(arguments.next()) {}
  std::uint32_t draw(Random& random) const noexcept {
    return static_cast<std::uint32_t>(least_ + random.below(most_ - least_ + 1));
  }

 private:
  std::uint64_t least_;
  std::uint64_t most_;
};

// Nodes in a table that link to each other, also in cycles, and are unlinked and replaced.
void mutating(Builder& to, Arguments& arguments, Random& random) {
  const std::uint32_t nodes = arguments.next_small();
  const std::uint32_t references = arguments.next_small();
  const std::uint64_t operations = arguments.next();
  const Sizes sizes(arguments);
  enum : Root { kTable, kOne, kOther };
  to.allocate(kTable, nodes, 8);
  for (std::uint32_t i = 0; i < nodes; ++i) {
    to.allocate(kOne, references, sizes.draw(random));
    to.store(kTable, i, kOne);
  }
  const auto node = [&] { return static_cast<std::uint32_t>(random.below(nodes)); };
  const auto field = [&] { return static_cast<std::uint32_t>(random.below(references)); };
  for (std::uint64_t i = 0; i < operations; ++i) {
    const std::uint64_t chosen = random.below(20);
    if (chosen < 7) {
      to.allocate(kOne, references, sizes.draw(random));
      to.store(kTable, node(), kOne);
    } else if (chosen < 13) {
      to.load(kOne, kTable, node());
      to.load(kOther, kTable, node());
      to.store(kOne, field(), kOther);
    } else if (chosen < 16) {
      to.load(kOne, kTable, node());
      to.store(kOne, field(), kNullRoot);
    } else {
      to.load(kOne, kTable, node());
      to.access(kOne);
      to.load(kOther, kOne, field());
      if (!to.is_null(kOther)) to.access(kOther);
    }
    if (i % kOperationsOfAFrame == kOperationsOfAFrame - 1) to.control(Control::safe_point);
  }
}

// Requests that each allocate an object, and read an entry of a cache or replace one.
void cache(Builder& to, Arguments& arguments, Random& random) {
  const std::uint32_t entries = arguments.next_small();
  const std::uint64_t requests = arguments.next();
  const std::uint64_t misses = arguments.next();  // per thousand
  const Sizes sizes(arguments);
  const std::uint32_t request_bytes = arguments.next_small();
  enum : Root { kTable, kRequest, kEntry };
  to.allocate(kTable, entries, 8);
  for (std::uint32_t i = 0; i < entries; ++i) {
    to.allocate(kEntry, 0, sizes.draw(random));
    to.store(kTable, i, kEntry);
  }
  to.clear(kEntry);
  for (std::uint64_t i = 0; i < requests; ++i) {
    to.allocate(kRequest, 1, request_bytes);
    const auto key = static_cast<std::uint32_t>(random.below(entries));
    if (random.below(1000) < misses) {
      to.allocate(kEntry, 0, sizes.draw(random));
      to.store(kTable, key, kEntry);
    } else {
      to.load(kEntry, kTable, key);
    }
    to.store(kRequest, 0, kEntry);
    to.access(kEntry);
    to.access(kRequest);
    to.clear(kEntry);
    to.clear(kRequest);
    to.control(Control::safe_point);
  }
}

// Objects of which most die at once. Some in a thousand live in a ring, until as many others have followed as it holds.
void young(Builder& to, Arguments& arguments, Random& random) {
  const std::uint64_t objects = arguments.next();
  const std::uint64_t survivors = arguments.next();
  const std::uint32_t ring = arguments.next_small();
  const Sizes sizes(arguments);
  enum : Root { kRing, kNew };
  to.allocate(kRing, ring, 8);
  for (std::uint32_t i = 0; i < ring; ++i) {
    to.allocate(kNew, 1, sizes.draw(random));
    to.store(kRing, i, kNew);
  }
  std::uint32_t oldest = 0;
  for (std::uint64_t i = 0; i < objects; ++i) {
    to.allocate(kNew, 1, sizes.draw(random));
    to.access(kNew);
    if (random.below(1000) < survivors) {
      to.store(kRing, oldest, kNew);
      oldest = (oldest + 1) % ring;
    }
    if (i % kOperationsOfAFrame == kOperationsOfAFrame - 1) to.control(Control::safe_point);
  }
}

// Operations one by one, in four words each: the operation and its three arguments.
void script(Builder& to, Arguments& arguments) {
  const std::uint64_t steps = arguments.next();
  for (std::uint64_t i = 0; i < steps; ++i) {
    const auto op = static_cast<Op>(arguments.next());
    const std::uint32_t a = arguments.next_small();
    const std::uint32_t b = arguments.next_small();
    const std::uint32_t c = arguments.next_small();
    try {
      if (op == Op::allocate) to.allocate(a, b, c);
      if (op == Op::load) to.load(a, b, c);
      if (op == Op::store) to.store(a, c, b);
      if (op == Op::copy) to.copy(a, b);
      if (op == Op::clear) to.clear(a);
      if (op == Op::access) to.access(a);
      if (op == Op::control) to.control(static_cast<Control>(a));
    } catch (const std::invalid_argument& problem) {
      throw std::invalid_argument(std::to_string(i) + " " + problem.what());
    }
  }
}

}  // namespace

std::vector<std::uint64_t> make_program(std::span<const std::uint64_t> words) {
  enum : std::uint64_t { kBinaryTrees, kGcbench, kLists, kMutating, kCache, kYoung, kScript };
  Arguments arguments(words);
  const std::uint64_t shape = arguments.next();
  Random random(arguments.next());
  const auto frees = static_cast<Frees>(arguments.next());
  Builder builder;
  if (shape == kBinaryTrees) binary_trees(builder, arguments);
  if (shape == kGcbench) gcbench(builder, arguments);
  if (shape == kLists) lists(builder, arguments);
  if (shape == kMutating) mutating(builder, arguments, random);
  if (shape == kCache) cache(builder, arguments, random);
  if (shape == kYoung) young(builder, arguments, random);
  if (shape == kScript) script(builder, arguments);
  return builder.finish(frees);
}

}  // namespace memtool::graph
