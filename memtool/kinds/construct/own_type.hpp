// A type that the user provides in a shared library (memtool.h).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "allocators/concept/strategy.hpp"
#include "include/memtool.h"
#include "kinds/construct/audit.hpp"

namespace memtool::construct {

inline const memtool_type* own_type = nullptr;

// Loads the type of a library. Returns nullptr, or what is wrong with it.
const char* adopt_type(const char* path);

// The type in the form that the ways need. All functions are called through the table.
struct Own {
  static constexpr bool kNothrow = true;
  static std::size_t size() noexcept { return own_type->size; }
  static std::size_t alignment() noexcept { return std::max(own_type->alignment, kDefaultAlignment); }
  static void construct(void* at) noexcept { own_type->construct(at); }
  static void destroy(void* at) noexcept {
    if (own_type->destroy != nullptr) own_type->destroy(at);
  }
  static std::uint64_t use(void* at) noexcept { return own_type->use == nullptr ? 0 : own_type->use(at); }
  static void reset(void* at) noexcept {
    if (own_type->reset != nullptr) return own_type->reset(at);
    destroy(at);
    construct(at);
  }
};

// The same with an audit of its objects. A constructor that is chosen to fail throws before it begins.
struct CountedOwn : Own {
  static constexpr bool kNothrow = false;
  static void construct(void* at) {
    books->constructed(at, own_type->alignment);
    Own::construct(at);
  }
  static void destroy(void* at) noexcept {
    Own::destroy(at);
    books->destroyed(at);
  }
  static std::uint64_t use(void* at) {
    books->used(at);
    return Own::use(at);
  }
};

}  // namespace memtool::construct
