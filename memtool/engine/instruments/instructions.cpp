#include "engine/instruments/instructions.hpp"

#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "engine/abi/capi.h"

#if __has_include(<valgrind/callgrind.h>)
#include <valgrind/callgrind.h>
#define MEMTOOL_HAS_CALLGRIND 1
#else
#define MEMTOOL_HAS_CALLGRIND 0
#endif

namespace memtool {
InstructionCounter::InstructionCounter(std::uint32_t counter) noexcept {
  if (counter == MEMTOOL_COUNTER_CALLGRIND) {
    if (MEMTOOL_HAS_CALLGRIND == 0) refusal_ = "the engine was built without valgrind's header callgrind.h";
    return;
  }
  perf_event_attr attributes{};
  attributes.size = sizeof attributes;
  attributes.type = PERF_TYPE_HARDWARE;
  attributes.config = PERF_COUNT_HW_INSTRUCTIONS;
  attributes.disabled = 1;
  attributes.exclude_kernel = 1;
  attributes.exclude_hv = 1;
  event_ = static_cast<int>(syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
  if (event_ < 0) refusal_ = std::strerror(errno);
}

InstructionCounter::~InstructionCounter() {
  if (event_ >= 0) close(event_);
}

void InstructionCounter::start() noexcept {
  if (event_ >= 0) {
    ioctl(event_, PERF_EVENT_IOC_RESET, 0);
    ioctl(event_, PERF_EVENT_IOC_ENABLE, 0);
    return;
  }
#if MEMTOOL_HAS_CALLGRIND
  CALLGRIND_START_INSTRUMENTATION;
#endif
}

std::uint64_t InstructionCounter::stop() noexcept {
  if (event_ >= 0) {
    ioctl(event_, PERF_EVENT_IOC_DISABLE, 0);
    std::uint64_t count = 0;
    return read(event_, &count, sizeof count) == sizeof count ? count : 0;
  }
#if MEMTOOL_HAS_CALLGRIND
  CALLGRIND_STOP_INSTRUMENTATION;
#endif
  return 0;
}

// callgrind keeps a collecting state for each thread, and every thread starts without collecting
// (--collect-atstart=no).
void InstructionCounter::start_thread() noexcept {
  if (event_ >= 0) ioctl(event_, PERF_EVENT_IOC_RESET, 0);
  resume();
}

void InstructionCounter::pause() noexcept {
  if (event_ >= 0) {
    ioctl(event_, PERF_EVENT_IOC_DISABLE, 0);
    return;
  }
#if MEMTOOL_HAS_CALLGRIND
  CALLGRIND_TOGGLE_COLLECT;
#endif
}

void InstructionCounter::resume() noexcept {
  if (event_ >= 0) {
    ioctl(event_, PERF_EVENT_IOC_ENABLE, 0);
    return;
  }
#if MEMTOOL_HAS_CALLGRIND
  CALLGRIND_TOGGLE_COLLECT;
#endif
}

std::uint64_t InstructionCounter::stop_thread() noexcept {
  pause();
  std::uint64_t count = 0;
  return event_ >= 0 && read(event_, &count, sizeof count) == sizeof count ? count : 0;
}

void InstructionCounter::instrument() noexcept {
#if MEMTOOL_HAS_CALLGRIND
  CALLGRIND_START_INSTRUMENTATION;
#endif
}

void InstructionCounter::stop_instrumenting() noexcept {
#if MEMTOOL_HAS_CALLGRIND
  CALLGRIND_STOP_INSTRUMENTATION;
#endif
}

const char* memtool_counter_refusal(uint32_t counter) {
  const InstructionCounter probe(counter);
  return probe.refusal();
}

}  // namespace memtool
