// The place from which the program calls its malloc.
#pragma once

#include <dlfcn.h>
#include <link.h>

#include <cstdint>
#include <string>

#include "allocators/concept/findings.hpp"

namespace memtool {

// The return address of the call that the calling thread is in. It is null in a replay, where nothing sets it.
inline constinit thread_local const void* call_site [[gnu::tls_model("initial-exec")]] = nullptr;

// A call site as text that memtool/preload/call_sites.py parses: "[/usr/bin/app+0x1234 make_table]". It holds an
// address as the file has it, and the name that the dynamic linker knows for it, if any.
class CallSite {
 public:
  explicit CallSite(const void* address) noexcept : address_(address) {}

  [[nodiscard]] std::string words() const {
    Dl_info where{};
    link_map* map = nullptr;
    if (dladdr1(address_, &where, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0 || map == nullptr)
      return worded("[%p]", address_);
    // The executable has no name in the link map. dladdr returns the path with which it was started.
    return worded("[%s+0x%zx%s%s]", where.dli_fname,
                  static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(address_) - map->l_addr),
                  where.dli_sname == nullptr ? "" : " ", where.dli_sname == nullptr ? "" : where.dli_sname);
  }
  // Returns "" if the call site is not known.
  [[nodiscard]] std::string after(const char* before) const { return address_ == nullptr ? "" : before + words(); }

 private:
  const void* address_;
};

}  // namespace memtool
