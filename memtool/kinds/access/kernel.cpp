#include "kinds/access/kernel.hpp"

#include "kinds/access/ways.hpp"

namespace memtool::access {

void run(KernelCall& call) {
  const ReplayRequest& request = call.request;
  const Image& image = *static_cast<const Image*>(request.image);
  if (request.image_bytes != sizeof(Image) || image.magic != Image::kMagic)
    return fail(call.result, MEMTOOL_BAD_REQUEST, "not a workload of accesses of this version");
  for (const auto& does : {walk, load, count, align})
    if (does(call, image)) return;
  fail(call.result, MEMTOOL_BAD_REQUEST, "unknown way of access %s", request.way);
}

}  // namespace memtool::access
