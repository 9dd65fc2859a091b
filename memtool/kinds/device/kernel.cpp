#include "kinds/device/kernel.hpp"

#include <cstdio>
#include <string>
#include <vector>

#include "engine/passes/passes.hpp"
#include "kinds/device/driver.hpp"
#include "kinds/device/heap.hpp"

namespace memtool::device {
namespace {

// results.py declares the same structure.
struct CheckFigures {
  std::uint64_t proved_blocks;  // blocks that the device filled and that still held the pattern at their free
  // A hash of the offsets of all allocations in the buffer, in their order; 0: there is no buffer.
  std::uint64_t offsets;
  char device[256];
};

struct Way {
  std::string_view name;
  bool divides;  // one buffer
  std::unique_ptr<Driver> (*open)(std::string& reason);
};
constexpr auto open_opencl_lazy = [](std::string& reason) { return open_opencl(false, reason); };
constexpr auto open_opencl_migrating = [](std::string& reason) { return open_opencl(true, reason); };
constexpr auto open_cuda_sync = [](std::string& reason) { return open_cuda(false, reason); };
constexpr auto open_cuda_async = [](std::string& reason) { return open_cuda(true, reason); };
constexpr Way kWays[] = {
    {"opencl-buffer", true, open_opencl_lazy},
    {"opencl-each", false, open_opencl_lazy},
    {"opencl-each-used", false, open_opencl_migrating},
    {"cuda-buffer", true, open_cuda_sync},
    {"cuda-each", false, open_cuda_sync},
    {"cuda-each-async", false, open_cuda_async},
    {"host-buffer", true, open_host},
};

// Makes the device fill each block after its allocation, and verify it before its free.
class Prover : public PlainProbe {
 public:
  static constexpr bool kSeesScopes = true;

  // `buffer`: divided at the addresses of `region`; nullptr: each block has its own memory.
  Prover(Driver& driver, void* buffer, const Region& region, std::uint64_t slots, CheckFigures& figures)
      : driver_(driver), buffer_(buffer), region_(region), seeds_(slots), figures_(figures) {}

  void allocated(std::uint32_t slot, void* block, std::uint64_t size, std::size_t, bool) {
    if (buffer_ != nullptr) figures_.offsets = (figures_.offsets ^ offset_of(block)) * 0x100000001b3ULL + 1;
    seeds_[slot] = ++last_seed_;
    if (!complaint_.empty()) return;
    if (buffer_ != nullptr && !lies_within(block, size)) {
      complaint_ =
          "block " + std::to_string(last_seed_) + " of " + std::to_string(size) + " bytes lies outside of the buffer";
      return;
    }
    if (!driver_.fill(memory_of(block), offset_of(block), size, last_seed_)) refuse("fill");
  }
  void deallocating(std::uint32_t slot, void* block, std::uint64_t size) {
    if (!complaint_.empty()) return;
    std::uint64_t mismatches = 0;
    if (!driver_.check(memory_of(block), offset_of(block), size, seeds_[slot], mismatches)) return refuse("read");
    if (mismatches == 0) {
      ++figures_.proved_blocks;
    } else {
      complaint_ = "block " + std::to_string(seeds_[slot]) + ": " + std::to_string(mismatches) + " of " +
                   std::to_string(size) + " bytes on the device are not what was written to them";
    }
  }
  void write(void*, std::uint64_t) noexcept {}
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

 private:
  [[nodiscard]] void* memory_of(void* block) const noexcept { return buffer_ != nullptr ? buffer_ : block; }
  [[nodiscard]] std::uint64_t offset_of(const void* block) const noexcept {
    return buffer_ == nullptr ? 0 : static_cast<std::uint64_t>(static_cast<const std::byte*>(block) - region_.base());
  }
  [[nodiscard]] bool lies_within(const void* block, std::uint64_t size) const noexcept {
    return offset_of(block) <= region_.capacity() && size <= region_.capacity() - offset_of(block);
  }
  void refuse(const char* action) { complaint_ = driver_.device() + " has no memory left to " + action + " a block"; }

  Driver& driver_;
  void* buffer_;
  const Region& region_;
  std::vector<std::uint64_t> seeds_;
  CheckFigures& figures_;
  std::uint64_t last_seed_ = 0;
  std::string complaint_;
};

void prove(KernelCall& call, Driver& driver, bool divides) {
  auto& figures = call.figures<CheckFigures>();
  std::snprintf(figures.device, sizeof figures.device, "%s", driver.device().c_str());
  void* buffer = divides ? driver.allocate(call.region.capacity()) : nullptr;
  if (divides && buffer == nullptr)
    return fail(call.result, MEMTOOL_BAD_REQUEST,
                "%s has no memory for a buffer of %llu bytes: a smaller memory_limit asks for less", figures.device,
                as_printed(call.region.capacity()));
  const Source source{call, divides ? nullptr : &driver};
  Serial<Heap, Source> serial(source, call.request, call.result);
  if (!serial.ready()) return;
  Heap heap(serial.region, source);
  Prover prover(driver, buffer, serial.region, serial.image.head.slots, figures);
  Replay<Heap, Prover> replay(heap, prover, serial.slots.data());
  const std::uint64_t* stopped = replay.run(serial.image.begin, serial.image.end);
  if (replay.out_of_memory()) return serial.out_of_memory(heap, stopped);
  if (!prover.complaint().empty()) return fail(call.result, MEMTOOL_WRONG, "%s", prover.complaint().c_str());
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
    // A strategy divides a buffer in the same time whether the buffer exists or not.
    if (checks || !way.divides) driver = way.open(reason);
    if (!reason.empty()) return fail(call.result, MEMTOOL_BAD_REQUEST, "%s", reason.c_str());
    if (checks) {
      prove(call, *driver, way.divides);
    } else {
      const Source source{call, driver.get()};
      run_pass(Serial<Heap, Source>(source, call.request, call.result));
    }
    // This overrides any other finding: after the driver has failed, results say nothing about the allocator.
    if (driver != nullptr && !driver->complaint().empty())
      fail(call.result, MEMTOOL_BAD_REQUEST, "%s", driver->complaint().c_str());
    return;
  }
  fail(call.result, MEMTOOL_BAD_REQUEST, "unknown way of device memory %s", call.request.way);
}

}  // namespace memtool::device
