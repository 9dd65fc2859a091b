#include "engine/registry/kernels.hpp"

#include <optional>
#include <stdexcept>
#include <string_view>

#include "engine/registry/recipe.hpp"
#include "engine/replay/kernel.hpp"
#include "kinds/access/kernel.hpp"
#include "kinds/construct/kernel.hpp"
#include "kinds/container/kernel.hpp"
#include "kinds/device/kernel.hpp"
#include "kinds/file/kernel.hpp"
#include "kinds/graph/kernel.hpp"

// A sanitizer of threads has nothing to find in a kernel that runs on one: its build leaves them out.
#ifdef MEMTOOL_KINDS_ON_THREADS
#define MEMTOOL_ON_ONE_THREAD(RUN) nullptr
#else
#define MEMTOOL_ON_ONE_THREAD(RUN) RUN
#endif

namespace memtool {
namespace {

struct Kernel {
  std::string_view kind;
  void (*run)(KernelCall&);
  // Whether a name belongs to something that the kind has in place of an allocator.
  bool (*knows)(std::string_view) noexcept = [](std::string_view) noexcept { return false; };
};
// THE list, one line each. memtool/kinds has the same list.
constexpr Kernel kKernels[] = {
    {"construct", MEMTOOL_ON_ONE_THREAD(construct::run)},
    {"container", MEMTOOL_ON_ONE_THREAD(containers::run)},
    {"access", access::run},
    {"device", MEMTOOL_ON_ONE_THREAD(device::run)},
    {"graph", graph::run, graph::is_collector},
    {"file", MEMTOOL_ON_ONE_THREAD(file::run)},
};

}  // namespace

bool run_kernel(const ReplayRequest& request, ReplayResult& result) {
  for (const Kernel& kernel : kKernels) {
    if (kernel.kind != request.kind || kernel.run == nullptr) continue;
    std::optional<Recipe> recipe;
    if (*request.strategy != '\0' && !kernel.knows(request.strategy))
      recipe.emplace(request.strategy, request.parameters);
    const OpenHeap open = [&](Region& region, Findings& findings) {
      if (!recipe.has_value()) throw std::invalid_argument("no allocator for what needs one");
      return recipe->open(region, findings);
    };
    KernelCall call(open, request, result);
    if (recipe.has_value()) call.inlined = recipe->inlined(kernel.kind);
    if (call.populate()) kernel.run(call);
    return true;
  }
  return false;
}

}  // namespace memtool
