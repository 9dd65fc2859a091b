// A control group of one's own that bounds memory, and with it the page cache that this process fills.
#pragma once

#include <cstdint>

#include "engine/replay/kernel.hpp"

namespace memtool::file {

// Of version 1 or 2. What is cached already is not charged to it: drop that first.
class ControlGroup {
 public:
  ControlGroup() = default;
  ~ControlGroup();
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  // In a group below `folder`, with this process alone in it; in the end it goes back `home`. False once the sample has
  // failed.
  bool enter(KernelCall& call, const char* folder, const char* home, std::uint64_t limit);

 private:
  char back_[600] = {};  // cgroup.procs of the group from which it came
  char own_[600] = {};
};

}  // namespace memtool::file
