// The operations of a script on each type of container, for one way of getting memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <span>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "kinds/container/allocators.hpp"
#include "kinds/container/row.hpp"
#include "kinds/container/script.hpp"

namespace memtool::containers {

// The words of an element. A traversal reads all of them.
inline std::uint64_t digest(std::uint64_t value) noexcept {
  return value;
}
inline std::uint64_t digest(char letter) noexcept {
  return static_cast<unsigned char>(letter);
}
template <class V>
  requires requires(const V& nested) { nested.size(); }
std::uint64_t digest(const V& nested) noexcept {
  std::uint64_t sum = 0;
  for (const auto& element : nested) sum += digest(element);
  return sum;
}
template <class K, class V>
std::uint64_t digest(const std::pair<K, V>& entry) noexcept {
  return digest(entry.second);
}

template <class C>
concept Keyed = requires { typename C::mapped_type; };
// Whether each element lies in its own block.
template <class C>
inline constexpr bool kHasNodes = Keyed<C>;
template <class T, class A>
inline constexpr bool kHasNodes<std::list<T, A>> = true;

// `Way`: Plain, Scoped or Pmr. `C`: a container with its outer allocator.
template <class Way, class C>
class ScriptOf final : public Script {
 public:
  ScriptOf(std::size_t containers, const Heaps& heaps, Rooms& rooms)
      : sources_(rooms.sources, heaps.size()), containers_(rooms.containers, containers) {
    for (const auto& heap : heaps) sources_.emplace_back(*heap);
    for (std::size_t i = 0; i < containers; ++i) containers_.emplace_back(allocator(i));
  }

  void run(std::span<const std::uint64_t> operations, Tally& tally) override {
    C* const containers = containers_.begin();
    std::uint64_t sum = 0;
    for (const std::uint64_t operation : operations) {
      C& container = containers[word::container(operation)];
      const Action action = word::action(operation);
      // The most frequent operation comes before the jump table, as in a loop written for it.
      if (action == Action::push) {
        push(container, operation);
      } else if (action == Action::pop) {
        sum += pop(container, operation);
      } else {
        sum += run_other(container, operation, tally);
      }
    }
    tally.sum += sum;
  }

  [[nodiscard]] std::vector<std::uint64_t> contents(std::size_t container) const override {
    std::vector<std::uint64_t> digests;
    if constexpr (Keyed<C>) {
      std::vector<std::pair<std::uint64_t, std::uint64_t>> entries;
      for (const auto& [key, value] : containers_[container]) entries.emplace_back(key, digest(value));
      std::ranges::sort(entries);
      for (const auto& [key, value] : entries) digests.insert(digests.end(), {key, value});
    } else {
      for (const auto& value : containers_[container]) digests.push_back(digest(value));
    }
    return digests;
  }

  [[nodiscard]] std::uint64_t elements() const override {
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < containers_.size(); ++i) all += containers_[i].size();
    return all;
  }

  void visit(std::size_t container, Visitor& visitor) const override {
    for (const auto& element : containers_[container]) {
      if constexpr (kHasNodes<C>) {
        visitor.node(&element);
      } else {
        visitor.piece(&element, sizeof element);
      }
      if constexpr (Keyed<C>) {
        visit_inner(element.second, &element, sizeof element, visitor);
      } else {
        visit_inner(element, &element, sizeof element, visitor);
      }
    }
  }

 private:
  using Value = typename C::value_type;

  [[nodiscard]] auto allocator(std::size_t container) noexcept {
    return sources_[container % sources_.size()].template make<typename C::allocator_type>();
  }

  // Calls make(arguments...) with the constructor arguments of a string or a vector inside another container.
  template <class Nested, class Make>
  auto with_arguments(const C& container, std::uint64_t operation, Make make) {
    const std::size_t length = word::length(operation);
    const auto value = [&] {
      if constexpr (std::is_same_v<typename Nested::value_type, char>) {
        return letter_of(word::key(operation));
      } else {
        return value_of(word::key(operation));
      }
    }();
    if constexpr (Way::kPassesDown) {
      return make(length, value);
    } else {
      return make(length, value, typename Nested::allocator_type(container.get_allocator()));
    }
  }

  std::uint64_t run_other(C& container, std::uint64_t operation, Tally& tally) {
    switch (word::action(operation)) {
      case Action::insert:
        insert(container, operation);
        return 0;
      case Action::find:
        return find(container, operation);
      case Action::erase:
        return erase(container, operation);
      case Action::traverse:
        tally.elements += container.size() * word::key(operation);
        return traverse(container, word::key(operation));
      case Action::copy:
        tally.elements += container.size();
        return copy(container, word::container(operation));
      case Action::clear:
        tally.elements += container.size();
        container.clear();
        return 0;
      default:  // pushes and pops, as which churn is drawn
        return 0;
    }
  }

  void push(C& container, std::uint64_t operation) {
    if constexpr (Keyed<C>) {
      insert(container, operation);
    } else if constexpr (std::is_class_v<Value>) {
      with_arguments<Value>(container, operation, [&](auto&&... arguments) { container.emplace_back(arguments...); });
    } else {
      container.push_back(plain_value(operation));
    }
  }

  void insert(C& container, std::uint64_t operation) {
    const std::uint64_t key = word::key(operation);
    if constexpr (!Keyed<C>) {
      const auto at = place(container, key % (container.size() + 1));
      if constexpr (std::is_class_v<Value>) {
        with_arguments<Value>(container, operation, [&](auto&&... arguments) { container.emplace(at, arguments...); });
      } else {
        container.insert(at, plain_value(operation));
      }
    } else if constexpr (std::is_class_v<typename C::mapped_type>) {
      with_arguments<typename C::mapped_type>(container, operation,
                                              [&](auto&&... arguments) { container.try_emplace(key, arguments...); });
    } else {
      container.emplace(key, value_of(key));
    }
  }

  // A list and a deque lose their first element, a vector and a string their last, and a map the one with this key.
  std::uint64_t pop(C& container, std::uint64_t operation) {
    if constexpr (Keyed<C>) {
      return erase(container, operation);
    } else {
      if (container.empty()) return 0;
      if constexpr (requires { container.pop_front(); }) {
        container.pop_front();
      } else {
        container.pop_back();
      }
      return 1;
    }
  }

  std::uint64_t find(const C& container, std::uint64_t operation) {
    const std::uint64_t key = word::key(operation);
    if constexpr (Keyed<C>) {
      const auto at = container.find(key);
      return at == container.end() ? 1 : digest(at->second);
    } else {
      return container.empty() ? 1 : digest(*place(container, key % container.size()));
    }
  }

  std::uint64_t erase(C& container, std::uint64_t operation) {
    const std::uint64_t key = word::key(operation);
    if constexpr (Keyed<C>) {
      return container.erase(key);
    } else {
      if (container.empty()) return 0;
      container.erase(place(container, key % container.size()));
      return 1;
    }
  }

  std::uint64_t traverse(const C& container, std::uint64_t times) {
    std::uint64_t sum = 0;
    for (; times > 0; --times) {
      for (const auto& element : container) sum += digest(element);
      asm volatile("" ::: "memory");  // so that each traversal is performed
    }
    return sum;
  }

  // A container on the heap of the next one copies the contents, and is destroyed.
  std::uint64_t copy(const C& container, std::size_t number) {
    C other(allocator(number + 1));
    other = container;
    return other.size();
  }

  static auto place(auto& container, std::size_t index) {
    return std::next(container.begin(), static_cast<std::ptrdiff_t>(index));
  }
  static Value plain_value(std::uint64_t operation) noexcept {
    if constexpr (std::is_same_v<Value, char>) {
      return letter_of(word::key(operation));
    } else {
      return word::key(operation);
    }
  }
  // The part of an element that lies in another block than its own.
  template <class V>
  static void visit_inner(const V& value, const void* element, std::size_t bytes, Visitor& visitor) {
    if constexpr (std::is_class_v<V>) {
      const auto begin = reinterpret_cast<std::uintptr_t>(element);
      const auto inner = reinterpret_cast<std::uintptr_t>(value.data());
      if (value.size() > 0 && inner - begin >= bytes)
        visitor.piece(value.data(), value.size() * sizeof(typename V::value_type));
    }
  }

  Row<typename Way::Source> sources_;
  Row<C> containers_;
};

template <class Way>
std::unique_ptr<Script> make(Type type, std::size_t containers, const Heaps& heaps, Rooms& rooms) {
  using Number = std::uint64_t;
  using String = std::basic_string<char, std::char_traits<char>, typename Way::template Inner<char>>;
  using Vector = std::vector<Number, typename Way::template Inner<Number>>;
  using Entry = std::pair<const Number, Number>;
  using NestedEntry = std::pair<const Number, Vector>;
  const auto of = [&]<class C>(std::type_identity<C>) -> std::unique_ptr<Script> {
    return std::make_unique<ScriptOf<Way, C>>(containers, heaps, rooms);
  };
  switch (type) {
    case Type::vector:
      return of(std::type_identity<std::vector<Number, typename Way::template Outer<Number>>>{});
    case Type::string:
      return of(
          std::type_identity<std::basic_string<char, std::char_traits<char>, typename Way::template Outer<char>>>{});
    case Type::deque:
      return of(std::type_identity<std::deque<Number, typename Way::template Outer<Number>>>{});
    case Type::list:
      return of(std::type_identity<std::list<Number, typename Way::template Outer<Number>>>{});
    case Type::map:
      return of(std::type_identity<std::map<Number, Number, std::less<>, typename Way::template Outer<Entry>>>{});
    case Type::unordered_map:
      return of(std::type_identity<std::unordered_map<Number, Number, std::hash<Number>, std::equal_to<>,
                                                      typename Way::template Outer<Entry>>>{});
    case Type::flat_map:
      return nullptr;  // std::flat_map is C++23, and the engine is C++20
    case Type::vector_of_strings:
      return of(std::type_identity<std::vector<String, typename Way::template Outer<String>>>{});
    case Type::map_of_vectors:
      return of(std::type_identity<std::map<Number, Vector, std::less<>, typename Way::template Outer<NestedEntry>>>{});
  }
  return nullptr;
}

}  // namespace memtool::containers
