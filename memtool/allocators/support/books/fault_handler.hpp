// Explains a SIGSEGV on standard error, before the process dies of it as it otherwise would.
#pragma once

#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <vector>

namespace memtool {

// The number of mappings that the kernel allows a process.
[[nodiscard]] inline std::uint64_t most_mappings() {
  std::uint64_t most = 65530;  // the kernel's default
  std::ifstream("/proc/sys/vm/max_map_count") >> most;
  return most;
}

// An object that can tell to whom an address belongs. While at least one exists, faults are explained.
class FaultExplainer {
 public:
  FaultExplainer() {
    if (all().empty()) {
      struct sigaction action{};
      action.sa_sigaction = on_fault;
      action.sa_flags = SA_SIGINFO | SA_ONSTACK;
      sigaction(SIGSEGV, &action, &previous());
    }
    all().push_back(this);
  }
  FaultExplainer(const FaultExplainer&) = delete;
  FaultExplainer& operator=(const FaultExplainer&) = delete;

  // Writes one line about `address`. Returns false if the address is not one of its own. Called in a signal handler.
  virtual bool explain(const void* address, char* words, std::size_t bytes) const noexcept = 0;

 protected:
  ~FaultExplainer() {
    std::erase(all(), this);
    if (all().empty()) sigaction(SIGSEGV, &previous(), nullptr);
  }

 private:
  static std::vector<const FaultExplainer*>& all() {
    static std::vector<const FaultExplainer*> explainers;
    return explainers;
  }
  static struct sigaction& previous() {
    static struct sigaction action{};
    return action;
  }
  static void on_fault(int, siginfo_t* fault, void*) {
    char words[390];
    for (const FaultExplainer* explainer : all()) {
      if (!explainer->explain(fault->si_addr, words, sizeof words - 1)) continue;
      const std::size_t length = std::strlen(words);
      words[length] = '\n';
      (void)!write(STDERR_FILENO, words, length + 1);
      break;
    }
    // The instruction runs again, and the fault then goes to the previous handler.
    sigaction(SIGSEGV, &previous(), nullptr);
  }
};

}  // namespace memtool
