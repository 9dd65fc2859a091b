// One strategy without adaptors as the malloc of a real program, alone in its library. `memtool run` uses this library
// if it exists (CMakeLists.txt lists the strategies). The program's memory then holds neither the other strategies nor
// the C++ library, which would matter for a small program.
//
// Environment: MEMTOOL_MALLOC_PARAMETERS, as in malloc.cpp, and the variables that report.hpp reads.
#include <cstdlib>
#include <string_view>

#include "allocators/concept/strategy.hpp"

#undef MEMTOOL_STRATEGY
#define MEMTOOL_STRATEGY(TYPE) \
  using Alone = TYPE;          \
  static_assert(::memtool::Strategy<TYPE>)
#include MEMTOOL_STRATEGY_HEADER

#include "preload/malloc_library.hpp"
#include "preload/report.hpp"

namespace memtool {
namespace {

// The parameters of the strategy. Those of the adaptor that makes it a malloc follow a '+'.
std::string_view given_parameters() {
  const char* parameters = std::getenv("MEMTOOL_MALLOC_PARAMETERS");
  const std::string_view all = parameters == nullptr ? "" : parameters;
  return all.substr(0, all.find('+'));
}

}  // namespace
}  // namespace memtool

MEMTOOL_MALLOC(Alone, memtool::given_parameters());

namespace memtool {
namespace {

HeapAtEnd heap_at_end(bool checks) {
  return {.stats = heap().stats(), .finding = checks ? broken_in(heap()) : "", .adaptors = ""};
}

}  // namespace
}  // namespace memtool
