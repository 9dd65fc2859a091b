// Accesses to a mapping that no longer has anything behind it, because its file was truncated, its disk is full, or its
// device was removed. The kernel then sends SIGBUS, which ends a program without a handler.
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdint>

namespace memtool::file {

// Only one at a time may exist, on the thread that created it.
class BusGuard {
 public:
  BusGuard() noexcept;
  ~BusGuard();
  BusGuard(const BusGuard&) = delete;
  BusGuard& operator=(const BusGuard&) = delete;

  // Runs the body and returns whether it completed; false: SIGBUS. The body is then left at that point, so nothing in
  // it may need destruction.
  template <class Body>
  bool ran(Body body) noexcept {
    if (sigsetjmp(back(), 1) != 0) return false;
    body();
    return true;
  }
  // The address of the fault.
  [[nodiscard]] static std::uintptr_t address() noexcept;

 private:
  static sigjmp_buf& back() noexcept;
  struct sigaction before_{};
};

}  // namespace memtool::file
