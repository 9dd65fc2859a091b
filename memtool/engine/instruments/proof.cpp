// Finds which library actually serves a symbol in this process. It asks the dynamic linker, not the environment.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "engine/instruments/proof.hpp"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "engine/abi/capi.h"

namespace memtool {
namespace {

struct BuildIdSearch {
  std::uintptr_t address;
  char* out;
  std::size_t bytes;
};

bool holds(const dl_phdr_info& library, std::uintptr_t address) {
  for (int i = 0; i < library.dlpi_phnum; ++i) {
    const auto& segment = library.dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = library.dlpi_addr + segment.p_vaddr;
    if (address >= begin && address - begin < segment.p_memsz) return true;
  }
  return false;
}

void write_hex(const unsigned char* from, std::size_t count, char* out, std::size_t bytes) {
  for (std::size_t i = 0; i < count && 2 * i + 2 < bytes; ++i) std::snprintf(out + 2 * i, 3, "%02x", from[i]);
}

// Walks the notes of one segment. Each has a header, a name and a description, padded to 4 bytes.
bool read_build_id(const unsigned char* at, std::size_t bytes, const BuildIdSearch& search) {
  const unsigned char* end = at + bytes;
  while (static_cast<std::size_t>(end - at) > sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, at, sizeof note);
    const unsigned char* name = at + sizeof note;
    const unsigned char* description = name + ((note.n_namesz + 3) & ~3u);
    if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && std::memcmp(name, "GNU", 4) == 0) {
      write_hex(description, note.n_descsz, search.out, search.bytes);
      return true;
    }
    at = description + ((note.n_descsz + 3) & ~3u);
  }
  return false;
}

int visit_library(dl_phdr_info* library, std::size_t, void* context) {
  const auto& search = *static_cast<BuildIdSearch*>(context);
  if (!holds(*library, search.address)) return 0;
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_NOTE) continue;
    const auto* notes = reinterpret_cast<const unsigned char*>(library->dlpi_addr + segment.p_vaddr);
    if (read_build_id(notes, segment.p_memsz, search)) break;
  }
  return 1;
}

}  // namespace

bool write_owner(const void* address, char* path, uint64_t path_bytes, char* build_id, uint64_t build_id_bytes) {
  Dl_info owner;
  if (address == nullptr || dladdr(address, &owner) == 0) return false;
  std::snprintf(path, path_bytes, "%s", owner.dli_fname);
  build_id[0] = '\0';
  BuildIdSearch search{reinterpret_cast<std::uintptr_t>(address), build_id, build_id_bytes};
  dl_iterate_phdr(visit_library, &search);
  return true;
}

extern "C" uint32_t memtool_symbol_owner(const char* symbol, char* path, uint64_t path_bytes, char* build_id,
                                         uint64_t build_id_bytes) {
  return write_owner(dlsym(RTLD_DEFAULT, symbol), path, path_bytes, build_id, build_id_bytes) ? 0 : 1;
}

}  // namespace memtool
