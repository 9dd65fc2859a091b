// Makes the objects of a way from the name of the way.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "kinds/construct/handles.hpp"
#include "kinds/construct/lives.hpp"

namespace memtool::construct {

struct Asked {
  std::string_view way;
  Setting setting;
  const Loops* loops;                // the loops that are compiled into the strategy; nullptr: none
  std::function<AnyHeap*()> reopen;  // creates a new heap
};

// Makes the ways that need only the size, construction and destruction of a type; nullptr: another way.
template <class M>
std::unique_ptr<Life> life_in_a_block(const Asked& asked) {
  const Loops& loops = asked.loops == nullptr ? kLoops<M, AnyHeap> : *asked.loops;
  if (asked.way == "placement") return std::make_unique<Placement<M>>(asked.setting, loops);
  if (asked.way == "memory") return std::make_unique<Memory<M>>(asked.setting);
  if (asked.way == "dropped" || asked.way == "forgotten")
    return std::make_unique<Dropped<M>>(asked.setting, loops, asked.way == "dropped", asked.reopen);
  if (asked.way == "in-place" || asked.way == "stack-buffer") return std::make_unique<InPlace<M>>(asked.setting);
  if (asked.way == "reset") return std::make_unique<Reset<M>>(asked.setting);
  return nullptr;
}

// Makes the ways of the language and its library; nullptr: another way. memtool/kinds/construct/ways.py lists them all.
template <class T>
std::unique_ptr<Life> life_by_handle(const Asked& asked) {
  if (asked.way == "new") return std::make_unique<Handled<ByNew<T>>>(asked.setting);
  if (asked.way == "unique-ptr") return std::make_unique<Handled<ByUniquePtr<T>>>(asked.setting);
  if (asked.way == "shared-ptr") return std::make_unique<Handled<BySharedPtr<T>>>(asked.setting);
  if (asked.way == "make-shared") return std::make_unique<Handled<ByMakeShared<T>>>(asked.setting);
  if (asked.way == "intrusive-count") return std::make_unique<Handled<ByIntrusiveCount<T>>>(asked.setting);
  if (asked.way == "array-new") return std::make_unique<Handled<ByArrayNew<T>>>(asked.setting);
  if (asked.way == "uninitialized") return std::make_unique<Handled<ByUninitialized<T>>>(asked.setting);
  return nullptr;
}

template <class T>
std::unique_ptr<Life> life_of(const Asked& asked) {
  auto life = life_in_a_block<Compiled<T>>(asked);
  return life != nullptr ? std::move(life) : life_by_handle<T>(asked);
}

using Make = std::unique_ptr<Life> (*)(const Asked&);

}  // namespace memtool::construct
