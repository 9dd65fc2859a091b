// Accesses to a mapping behind which there is nothing any more: its file was truncated, its disk is full, its device is
// gone. The kernel then sends SIGBUS; a program that has no handler ends.
#pragma once

#include <csetjmp>
#include <csignal>
#include <cstdint>

namespace memtool::file {

// One at a time, on the thread that made it.
class BusGuard {
 public:
  BusGuard() noexcept;
  ~BusGuard();
  BusGuard(const BusGuard&) = delete;
  BusGuard& operator=(const BusGuard&) = delete;

  // Does it, and returns whether it came to its end; false: SIGBUS. It is left where it was, so that nothing in it may
  // wait to be destroyed.
  template <class Body>
  bool ran(Body body) noexcept {
    if (sigsetjmp(back(), 1) != 0) return false;
    body();
    return true;
  }
  // Where it struck.
  [[nodiscard]] static std::uintptr_t address() noexcept;

 private:
  static sigjmp_buf& back() noexcept;
  struct sigaction before_{};
};

}  // namespace memtool::file
