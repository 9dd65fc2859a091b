// Counts the instructions of a stretch of code, either with the processor's counter, if the kernel permits it, or under
// valgrind's callgrind, which is told where the stretch begins and ends.
#pragma once

#include <cstdint>

namespace memtool {

class InstructionCounter {
 public:
  // `counter`: MEMTOOL_COUNTER_PERF or MEMTOOL_COUNTER_CALLGRIND. If the counter is not available, `refusal()` gives
  // the reason.
  explicit InstructionCounter(std::uint32_t counter) noexcept;
  ~InstructionCounter();
  InstructionCounter(const InstructionCounter&) = delete;
  InstructionCounter& operator=(const InstructionCounter&) = delete;

  [[nodiscard]] const char* refusal() const noexcept { return refusal_; }  // nullptr: counting works
  void start() noexcept;
  // For the thread that created the counter, when it is one of several. Counts only what this thread executes outside
  // of pause() and resume(). instrument() and stop_instrumenting() enclose the work of all threads.
  void start_thread() noexcept;
  void pause() noexcept;
  void resume() noexcept;
  [[nodiscard]] std::uint64_t stop_thread() noexcept;
  static void instrument() noexcept;
  static void stop_instrumenting() noexcept;
  // User instructions since start(); 0 under callgrind, which writes the count to its own file.
  [[nodiscard]] std::uint64_t stop() noexcept;

 private:
  const char* refusal_ = nullptr;
  int event_ = -1;
};

}  // namespace memtool
