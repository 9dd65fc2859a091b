// Counts the system calls with which an allocator manages memory. A seccomp filter reports each call to the parent
// process, which lets it proceed. It covers every thread of the process, whatever signals they block.
#pragma once

#include <cstdint>

namespace memtool {

class SystemCallCounter {
 public:
  // From here on every such call of this process waits for memtool_count_system_calls() in the parent. The parent
  // receives the descriptor over `socket`, a connected Unix socket.
  explicit SystemCallCounter(int socket) noexcept;
  // The reason why calls cannot be counted; nullptr if they are.
  [[nodiscard]] const char* refusal() const noexcept { return refusal_; }
  // Later calls are not counted. (The filter itself cannot be removed.)
  static void stop() noexcept;

 private:
  const char* refusal_ = nullptr;
};

}  // namespace memtool
