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
    {"construct", construct::run},
    {"container", containers::run},
    {"access", access::run},
    {"device", device::run},
    {"graph", graph::run, graph::is_collector},
    {"file", file::run},
};

}  // namespace

bool run_kernel(const ReplayRequest& request, ReplayResult& result) {
  for (const Kernel& kernel : kKernels) {
    if (kernel.kind != request.kind) continue;
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
