#include "kinds/construct/own_type.hpp"

#include <dlfcn.h>

namespace memtool::construct {

const char* adopt_type(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  void* get = dlsym(library, "memtool_get_type");
  if (get == nullptr) return "the library has no memtool_get_type";
  own_type = reinterpret_cast<decltype(&memtool_get_type)>(get)();
  if (own_type == nullptr) return "memtool_get_type() returned nothing";
  if (own_type->abi != MEMTOOL_TYPE_ABI || own_type->struct_bytes < sizeof(memtool_type))
    return "the type was built against another memtool.h";
  if (own_type->construct == nullptr) return "the type has no construct";
  const std::size_t alignment = own_type->alignment;
  if (alignment == 0 || (alignment & (alignment - 1)) != 0) return "the type's alignment is no power of two";
  if (own_type->size == 0 || own_type->size % alignment != 0) return "the type's size is no multiple of its alignment";
  return nullptr;
}

}  // namespace memtool::construct
