// Counts the instructions of a stretch of code: by the processor where the kernel lets it, or under valgrind's
// callgrind, which is told when to begin and when to end.
#pragma once

#include <cstdint>

namespace memtool {

class InstructionCounter {
 public:
  // `counter`: MEMTOOL_COUNTER_PERF or MEMTOOL_COUNTER_CALLGRIND. `refusal()` says in words where that is not to be
  // had.
  explicit InstructionCounter(std::uint32_t counter) noexcept;
  ~InstructionCounter();
  InstructionCounter(const InstructionCounter&) = delete;
  InstructionCounter& operator=(const InstructionCounter&) = delete;

  [[nodiscard]] const char* refusal() const noexcept { return refusal_; }  // nullptr: none
  void start() noexcept;
  // On one of several threads, the one that made the counter: only what it executes counts, and not what it does
  // between pause() and resume(). instrument() and stop_instrumenting() stand around all of them.
  void start_thread() noexcept;
  void pause() noexcept;
  void resume() noexcept;
  [[nodiscard]] std::uint64_t stop_thread() noexcept;
  static void instrument() noexcept;
  static void stop_instrumenting() noexcept;
  // User instructions since start(); 0 under callgrind, which writes the count to a file of its own.
  [[nodiscard]] std::uint64_t stop() noexcept;

 private:
  const char* refusal_ = nullptr;
  int event_ = -1;
};

}  // namespace memtool
