// The functions of a malloc, as a program holds them if it chooses its malloc at run time.
#pragma once

#include <cstddef>

namespace memtool {

struct MallocCalls {
  void* (*allocate)(std::size_t size);
  void* (*allocate_aligned)(std::size_t alignment, std::size_t size);
  void* (*allocate_zeroed)(std::size_t count, std::size_t size);  // the product does not overflow
  void* (*reallocate)(void* block, std::size_t size);             // size >= 1
  void (*deallocate)(void* block);
};

}  // namespace memtool
