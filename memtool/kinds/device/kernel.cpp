#include "kinds/device/kernel.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include "engine/passes/passes.hpp"
#include "kinds/device/driver.hpp"
#include "kinds/device/heap.hpp"

namespace memtool::device {
namespace {

// results.py has the same.
struct CheckFigures {
  std::uint64_t proved;  // blocks that the device has filled and found as they were
  std::uint64_t
      offsets;  // of each allocation in the buffer, drawn into one number in their order; 0: there is no buffer
  char device[256];
};

struct Way {
  std::string_view name;
  bool divides;  // one buffer
  std::unique_ptr<Driver> (*open)(std::string& reason);
};
constexpr auto open_opencl_alone = [](std::string& reason) { return open_opencl(false, reason); };
constexpr auto open_opencl_used = [](std::string& reason) { return open_opencl(true, reason); };
constexpr auto open_cuda_sync = [](std::string& reason) { return open_cuda(false, reason); };
constexpr auto open_cuda_async = [](std::string& reason) { return open_cuda(true, reason); };
constexpr Way kWays[] = {
    {"opencl-buffer", true, open_opencl_alone},    {"opencl-each", false, open_opencl_alone},
    {"opencl-each-used", false, open_opencl_used}, {"cuda-buffer", true, open_cuda_sync},
    {"cuda-each", false, open_cuda_sync},          {"cuda-each-async", false, open_cuda_async},
};

// Has the device fill each block when it is allocated, and look at it before it is freed.
class Prover : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;

  // `buffer`: what is divided from `base` on; nullptr: each block is memory of its own.
  Prover(Driver& driver, void* buffer, const std::byte* base, std::uint64_t slots, CheckFigures& figures)
      : driver_(driver), buffer_(buffer), base_(base), seeds_(slots), figures_(figures) {}

  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t, bool) {
    if (buffer_ != nullptr) figures_.offsets = (figures_.offsets ^ offset_of(block)) * 0x100000001b3ULL + 1;
    seeds_[slot] = ++drawn_;
    if (!driver_.fill(memory_of(block), offset_of(block), size, drawn_)) refuse("fill");
  }
  void deallocating(std::uint32_t slot, void* block, std::uint64_t size) {
    std::uint64_t wrong = 0;
    if (!driver_.check(memory_of(block), offset_of(block), size, seeds_[slot], wrong)) return refuse("read");
    if (wrong == 0) {
      ++figures_.proved;
    } else if (complaint_.empty()) {
      complaint_ = "block " + std::to_string(seeds_[slot]) + ": " + std::to_string(wrong) + " of " +
                   std::to_string(size) + " bytes on the device are not what was written to them";
    }
  }
  void write(void*, std::uint64_t) noexcept {}
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }
  [[nodiscard]] bool refused() const noexcept { return refused_; }

 private:
  [[nodiscard]] void* memory_of(void* block) const noexcept { return buffer_ != nullptr ? buffer_ : block; }
  [[nodiscard]] std::uint64_t offset_of(const void* block) const noexcept {
    return buffer_ == nullptr ? 0 : static_cast<std::uint64_t>(static_cast<const std::byte*>(block) - base_);
  }
  void refuse(const char* what) {
    refused_ = true;
    if (complaint_.empty())
      complaint_ = driver_.device() + " does not " + what + " a block (" + std::to_string(driver_.problem) + ")";
  }

  Driver& driver_;
  void* buffer_;
  const std::byte* base_;
  std::vector<std::uint64_t> seeds_;
  CheckFigures& figures_;
  std::uint64_t drawn_ = 0;
  std::string complaint_;
  bool refused_ = false;
};

void prove(KernelCall& call, Driver& driver, bool divides) {
  auto& figures = call.figures<CheckFigures>();
  std::snprintf(figures.device, sizeof figures.device, "%s", driver.device().c_str());
  void* buffer = divides ? driver.allocate(call.region.capacity()) : nullptr;
  if (divides && buffer == nullptr)
    return fail(call.result, MEMTOOL_BAD_REQUEST, "%s gives no buffer of %llu bytes (%d)", figures.device,
                as_printed(call.region.capacity()), driver.problem);
  const Source source{call, divides ? nullptr : &driver};
  Serial<Heap, Source> replayed(source, call.request, call.result);
  if (!replayed.ready()) return;
  Heap heap(replayed.region, source);
  Prover prover(driver, buffer, replayed.region.base(), replayed.image.head.slots, figures);
  Replay<Heap, Prover> replay(heap, prover, replayed.slots.data());
  const std::uint64_t* stopped = replay.run(replayed.image.begin, replayed.image.end);
  if (replay.out_of_memory()) return replayed.out_of_memory(heap, stopped);
  if (!prover.complaint().empty())
    return fail(call.result, prover.refused() ? MEMTOOL_BAD_REQUEST : MEMTOOL_WRONG, "%s", prover.complaint().c_str());
  heap.check();
}

}  // namespace

void run(KernelCall& call) {
  if (const char* problem = wrong_with_image(call.request))
    return fail(call.result, MEMTOOL_BAD_REQUEST, "%s", problem);
  for (const Way& way : kWays) {
    if (way.name != call.way()) continue;
    const bool checks = call.pass() == "check";
    std::unique_ptr<Driver> driver;
    std::string reason;
    // What a strategy takes to divide a buffer is the same whether the buffer is there or not.
    if (checks || !way.divides) driver = way.open(reason);
    if (!reason.empty()) return fail(call.result, MEMTOOL_BAD_REQUEST, "%s", reason.c_str());
    if (checks) return prove(call, *driver, way.divides);
    const Source source{call, driver.get()};
    return run_pass(Serial<Heap, Source>(source, call.request, call.result));
  }
  fail(call.result, MEMTOOL_BAD_REQUEST, "unknown way of device memory %s", call.request.way);
}

}  // namespace memtool::device
