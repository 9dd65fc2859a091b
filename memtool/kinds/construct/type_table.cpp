#include "kinds/construct/type_table.hpp"

#include <dlfcn.h>

namespace memtool::construct {

const char* adopt_type(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  void* get = dlsym(library, "memtool_get_type");
  if (get == nullptr) return "the library has no memtool_get_type";
  type_table = reinterpret_cast<decltype(&memtool_get_type)>(get)();
  if (type_table == nullptr) return "memtool_get_type() returned nothing";
  if (type_table->abi != MEMTOOL_TYPE_ABI || type_table->struct_bytes < sizeof(memtool_type))
    return "the type was built against another memtool.h";
  if (type_table->construct == nullptr) return "the type has no construct";
  const std::size_t alignment = type_table->alignment;
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) return "the type's alignment is no power of two";
  if (type_table->size == 0 || type_table->size % alignment != 0)
    return "the type's size is no multiple of its alignment";
  return nullptr;
}

}  // namespace memtool::construct
