// Counts the system calls by which an allocator manages memory, with a seccomp filter that tells the parent process of
// each and lets it go on. It sees every thread of the process, whatever signals they block.
#pragma once

#include <cstdint>

namespace memtool {

class SystemCallCounter {
 public:
  // From here on every such call of this process waits for memtool_count_system_calls() in the parent, which is sent
  // the means over `socket`, a connected Unix socket.
  explicit SystemCallCounter(int socket) noexcept;
  // Why calls cannot be counted, in words; nullptr: they are.
  [[nodiscard]] const char* refusal() const noexcept { return refusal_; }
  // What comes after is not counted. (A filter cannot be taken off again.)
  static void stop() noexcept;

 private:
  const char* refusal_ = nullptr;
};

}  // namespace memtool
