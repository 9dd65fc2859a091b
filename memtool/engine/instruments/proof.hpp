// Asks the dynamic linker in which library an address lies.
#pragma once

#include <cstdint>

namespace memtool {

// Writes the library's path and its build id in hex ("" if it has none). Returns false if the address lies in no
// library.
bool write_owner(const void* address, char* path, std::uint64_t path_bytes, char* build_id,
                 std::uint64_t build_id_bytes);

}  // namespace memtool
