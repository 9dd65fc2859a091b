// Where the program calls its malloc from.
#pragma once

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <string>

#include "allocators/concept/findings.hpp"

namespace memtool {

// The instruction to which the call returns that the calling thread is in; null where nobody says: in a replay.
inline constinit thread_local const void* call_site [[gnu::tls_model("initial-exec")]] = nullptr;

// A call site in words that memtool/preload/call_sites.py reads: "[/usr/bin/app+0x1234 make_table]", an address as the
// file has it, and the name that the dynamic linker knows for it, if any.
class CallSite {
 public:
  explicit CallSite(const void* address) noexcept : address_(address) {}

  [[nodiscard]] std::string words() const {
    Dl_info where{};
    link_map* map = nullptr;
    if (dladdr1(address_, &where, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 || map == nullptr)
      return worded("[%p]", address_);
    // The executable has no name in the link map; dladdr says what it was started as.
    return worded("[%s+0x%zx%s%s]", where.dli_fname,
                  static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(address_) - map->l_addr),
                  where.dli_sname == nullptr ? "" : " ", where.dli_sname == nullptr ? "" : where.dli_sname);
  }
  // Nothing where it is not known.
  [[nodiscard]] std::string after(const char* before) const { return address_ == nullptr ? "" : before + words(); }

 private:
  const void* address_;
};

}  // namespace memtool
