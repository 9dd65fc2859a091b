#include "kinds/file/bus.hpp"

namespace memtool::file {
namespace {

// Variables for the handler, which has no other access to them.
sigjmp_buf place;
volatile std::uintptr_t struck;

void jump(int, siginfo_t* fault, void*) {
  struck = reinterpret_cast<std::uintptr_t>(fault->si_addr);
  siglongjmp(place, 1);
}

}  // namespace

BusGuard::BusGuard() noexcept {
  struct sigaction action{};
  action.sa_sigaction = jump;
  action.sa_flags = SA_SIGINFO;
  sigemptyset(&action.sa_mask);
  sigaction(SIGBUS, &action, &before_);
}

BusGuard::~BusGuard() {
  sigaction(SIGBUS, &before_, nullptr);
}

std::uintptr_t BusGuard::address() noexcept {
  return struck;
}

sigjmp_buf& BusGuard::back() noexcept {
  return place;
}

}  // namespace memtool::file
