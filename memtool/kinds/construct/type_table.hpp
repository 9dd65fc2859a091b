// A type whose functions are called through a table (memtool.h): one that the user provides in a shared library, or any
// type where nothing is timed.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"
#include "include/memtool.h"
#include "kinds/construct/audit.hpp"

namespace memtool::construct {

inline const memtool_type* type_table = nullptr;

// Takes the table of a library. Returns nullptr, or what is wrong with it.
const char* adopt_type(const char* path);

// The type in the form that the ways need.
struct Tabled {
  static constexpr bool kNothrow = true;
  static std::size_t size() noexcept { return type_table->size; }
  static std::size_t alignment() noexcept { return std::max(type_table->alignment, kDefaultAlignment); }
  static void construct(void* at) noexcept { type_table->construct(at); }
  static void destroy(void* at) noexcept {
    if (type_table->destroy != nullptr) type_table->destroy(at);
  }
  static std::uint64_t use(void* at) noexcept { return type_table->use == nullptr ? 0 : type_table->use(at); }
  static void reset(void* at) noexcept {
    if (type_table->reset != nullptr) return type_table->reset(at);
    destroy(at);
    construct(at);
  }
};

// The same with an audit of its objects. A constructor that is chosen to fail throws before it begins.
struct CountedTabled : Tabled {
  static constexpr bool kNothrow = false;
  static void construct(void* at) {
    books->constructed(at, type_table->alignment);
    type_table->construct(at);  // that of a compiled-in type may throw
  }
  static void destroy(void* at) noexcept {
    Tabled::destroy(at);
    books->destroyed(at);
  }
  static std::uint64_t use(void* at) {
    books->used(at);
    return Tabled::use(at);
  }
};

}  // namespace memtool::construct
