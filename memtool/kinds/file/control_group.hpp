// A new control group that limits memory, and with it the page cache that this process fills.
#pragma once

#include <cstdint>

#include "engine/replay/kernel.hpp"

namespace memtool::file {

// Of version 1 or 2. Data that is already cached is not charged to the group, so drop it first.
class ControlGroup {
 public:
  ControlGroup() = default;
  ~ControlGroup();
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  // Creates a group below `folder` with only this process in it. At the end the process returns to `home`. Returns
  // false if the sample has failed.
  bool enter(KernelCall& call, const char* folder, const char* home, std::uint64_t limit);

 private:
  char back_[600] = {};  // cgroup.procs of the process's former group
  char own_[600] = {};
};

}  // namespace memtool::file
