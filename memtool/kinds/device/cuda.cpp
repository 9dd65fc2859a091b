// CUDA's driver API, through libcuda.so.1 (CUDA Driver API Reference 12). No machine of the project has a device, so
// this code is compiled everywhere but has never run on one.
//
// The driver fills blocks (cuMemsetD8), and the processor reads them back, because a kernel would have to be compiled
// for the device.
#include <vector>

#include "kinds/device/loaded.hpp"

namespace memtool::device {
namespace {

using Address = std::uint64_t;  // CUdeviceptr

struct Functions {
  Library loaded{"libcuda.so.1"};
  int (*init)(unsigned) = loaded["cuInit"];
  int (*get_device)(int*, int) = loaded["cuDeviceGet"];
  int (*get_name)(char*, int, int) = loaded["cuDeviceGetName"];
  int (*retain_context)(void**, int) = loaded["cuDevicePrimaryCtxRetain"];
  int (*set_context)(void*) = loaded["cuCtxSetCurrent"];
  int (*allocate)(Address*, std::size_t) = loaded["cuMemAlloc_v2"];
  int (*free)(Address) = loaded["cuMemFree_v2"];
  int (*allocate_async)(Address*, std::size_t, void*) = loaded["cuMemAllocAsync"];
  int (*free_async)(Address, void*) = loaded["cuMemFreeAsync"];
  int (*fill)(Address, unsigned char, std::size_t) = loaded["cuMemsetD8_v2"];
  int (*read)(void*, Address, std::size_t) = loaded["cuMemcpyDtoH_v2"];
};

class Cuda final : public Loaded {
 public:
  explicit Cuda(bool async) noexcept : async_(async) {}

  std::string open() {
    const std::string missing = what_lacks(call_.loaded, "libcuda.so.1", "CUDA driver");
    if (!missing.empty()) return missing;
    int device = 0;
    int status = call_.init(0);
    if (status == 0) status = call_.get_device(&device, 0);
    if (status != 0) return "the CUDA driver has no device (error " + std::to_string(status) + ")";
    char name[256] = "";
    call_.get_name(name, sizeof name, device);
    name_ = name;
    void* context = nullptr;
    status = call_.retain_context(&context, device);
    if (status == 0) status = call_.set_context(context);
    if (status != 0) return name_ + " gives no context (error " + std::to_string(status) + ")";
    return {};
  }

  [[nodiscard]] void* allocate(std::uint64_t bytes) noexcept override {
    Address address = 0;
    const bool is_there = async_ ? succeeded(call_.allocate_async(&address, bytes, nullptr), "cuMemAllocAsync")
                                 : succeeded(call_.allocate(&address, bytes), "cuMemAlloc");
    return is_there ? reinterpret_cast<void*>(address) : nullptr;  // the processor cannot read this address
  }
  void free(void* memory) noexcept override {
    if (async_)
      succeeded(call_.free_async(address_of(memory), nullptr), "cuMemFreeAsync");
    else
      succeeded(call_.free(address_of(memory)), "cuMemFree");
  }
  [[nodiscard]] bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) override {
    return succeeded(call_.fill(address_of(memory) + offset, pattern(seed), bytes), "cuMemsetD8");
  }
  [[nodiscard]] bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                           std::uint64_t& mismatches) override {
    std::vector<unsigned char> contents(bytes);
    if (!succeeded(call_.read(contents.data(), address_of(memory) + offset, bytes), "cuMemcpyDtoH")) return false;
    mismatches = 0;
    for (const unsigned char byte : contents) mismatches += byte != pattern(seed);
    return true;
  }

 private:
  [[nodiscard]] bool lacks_memory(int status) const noexcept override {
    return status == 2;  // CUDA_ERROR_OUT_OF_MEMORY
  }
  static Address address_of(void* memory) noexcept { return reinterpret_cast<Address>(memory); }
  static unsigned char pattern(std::uint64_t seed) noexcept {
    return static_cast<unsigned char>(seed * 0x9E3779B97F4A7C15ULL >> 56);
  }

  bool async_;
  Functions call_;
};

}  // namespace

std::unique_ptr<Driver> open_cuda(bool async, std::string& reason) {
  return opened(std::make_unique<Cuda>(async), reason);
}

}  // namespace memtool::device
