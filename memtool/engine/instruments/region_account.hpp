// The kernel's account of the memory under a region, read without an allocation. It proves that a region is of the kind
// that its name says, and gives the resident set of a region that is not anonymous.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "engine/abi/capi.h"

namespace memtool {

// Sums over the mappings in /proc/self/smaps that overlap [base, base + bytes). Advice and locks split a region into
// several mappings, and the kernel may merge it with the mapping before it, up to the alignment of its base.
class RegionAccounts {
 public:
  RegionAccounts(const void* base, std::uint64_t bytes) noexcept
      : first_(reinterpret_cast<std::uintptr_t>(base)),
        end_(first_ + bytes),
        maps_(open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)) {}
  ~RegionAccounts() {
    if (maps_ >= 0) close(maps_);
  }
  RegionAccounts(const RegionAccounts&) = delete;
  RegionAccounts& operator=(const RegionAccounts&) = delete;

  // Takes about a millisecond.
  [[nodiscard]] RegionAccount read() const noexcept {
    RegionAccount account{};
    if (maps_ < 0 || lseek(maps_, 0, SEEK_SET) != 0) return account;
    char text[4096];
    std::size_t held = 0;
    bool within = false;
    for (;;) {
      const ssize_t got = ::read(maps_, text + held, sizeof text - 1 - held);
      if (got <= 0) return account;
      held += static_cast<std::size_t>(got);
      text[held] = '\0';
      char* line = text;
      while (char* end = std::strchr(line, '\n')) {
        *end = '\0';
        take(line, within, account);
        line = end + 1;
      }
      held = std::min<std::size_t>(held - static_cast<std::size_t>(line - text), sizeof text / 2);
      std::memmove(text, line, held);
    }
  }

 private:
  void take(const char* line, bool& within, RegionAccount& account) const noexcept {
    if (*line < 'A' || *line > 'Z') {  // "7f00-7f80 rw-p 00000000 00:01 1027 /memfd:name": the header line of a mapping
      char* at = nullptr;
      const std::uintptr_t from = std::strtoull(line, &at, 16);
      const std::uintptr_t to = *at == '-' ? std::strtoull(at + 1, nullptr, 16) : from;
      within = from < end_ && to > first_;
      if (within && account.mapping[0] == '\0') describe(at, account);
      return;
    }
    if (!within) return;
    const auto add = [&](const char* key, std::uint64_t& sum) {
      const std::size_t length = std::strlen(key);
      if (std::strncmp(line, key, length) == 0) sum += std::strtoull(line + length, nullptr, 10) * 1024;
    };
    add("Rss:", account.resident_bytes);
    add("Anonymous:", account.anonymous_bytes);
    add("AnonHugePages:", account.huge_bytes);
    add("Locked:", account.locked_bytes);
    std::uint64_t page = 0;
    add("MMUPageSize:", page);
    account.page_bytes = std::max(account.page_bytes, page);
  }

  // Keeps the permissions ("rw-p") and the name, if there is one, from a header line. `at` points behind its first
  // address.
  static void describe(const char* at, RegionAccount& account) noexcept {
    char permissions[5] = "";
    int name = 0;
    if (std::sscanf(at, "-%*s %4s %*s %*s %*s %n", permissions, &name) != 1) return;
    std::snprintf(account.mapping, sizeof account.mapping, "%s %s", permissions,
                  at[name] == '\0' ? "anonymous" : at + name);
  }

  std::uintptr_t first_;
  std::uintptr_t end_;
  int maps_;
};

}  // namespace memtool
