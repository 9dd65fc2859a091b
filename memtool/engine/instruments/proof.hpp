// Which library an address lies in, asked of the dynamic linker.
#pragma once

#include <cstdint>

namespace memtool {

// Writes the library's path and its build id in hex ("" when it has none); false: the address is in none.
bool write_owner(const void* address, char* path, std::uint64_t path_bytes, char* build_id,
                 std::uint64_t build_id_bytes);

}  // namespace memtool
