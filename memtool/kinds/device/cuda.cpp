// CUDA's driver API, by libcuda.so.1 (CUDA Driver API Reference 12). No machine of the project's own has a device: the
// code is compiled everywhere, and was run nowhere.
//
// Blocks are filled by the driver (cuMemsetD8) and read back: a kernel would have to be compiled for the device.
#include <dlfcn.h>

#include <vector>

#include "kinds/device/driver.hpp"

namespace memtool::device {
namespace {

using Address = std::uint64_t;  // CUdeviceptr

struct Functions {
  int (*init)(unsigned);
  int (*get_device)(int*, int);
  int (*get_name)(char*, int, int);
  int (*retain_context)(void**, int);
  int (*set_context)(void*);
  int (*allocate)(Address*, std::size_t);
  int (*free)(Address);
  int (*allocate_async)(Address*, std::size_t, void*);
  int (*free_async)(Address, void*);
  int (*fill)(Address, unsigned char, std::size_t);
  int (*read)(void*, Address, std::size_t);

  const char* load(void* library) noexcept {
    const char* missing = nullptr;
    const auto take = [&](auto& function, const char* name) {
      void* symbol = dlsym(library, name);
      if (symbol == nullptr && missing == nullptr) missing = name;
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    };
    take(init, "cuInit");
    take(get_device, "cuDeviceGet");
    take(get_name, "cuDeviceGetName");
    take(retain_context, "cuDevicePrimaryCtxRetain");
    take(set_context, "cuCtxSetCurrent");
    take(allocate, "cuMemAlloc_v2");
    take(free, "cuMemFree_v2");
    take(allocate_async, "cuMemAllocAsync");
    take(free_async, "cuMemFreeAsync");
    take(fill, "cuMemsetD8_v2");
    take(read, "cuMemcpyDtoH_v2");
    return missing;
  }
};

class Cuda final : public Driver {
 public:
  explicit Cuda(bool async) noexcept : async_(async) {}

  std::string open() {
    void* library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == nullptr) return "no CUDA driver (libcuda.so.1)";
    if (const char* missing = call_.load(library)) return std::string("the CUDA driver has no ") + missing;
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

  [[nodiscard]] const std::string& device() const noexcept override { return name_; }
  [[nodiscard]] void* allocate(std::uint64_t bytes) noexcept override {
    Address address = 0;
    const bool is_there = async_ ? succeeded(call_.allocate_async(&address, bytes, nullptr), "cuMemAllocAsync")
                                 : succeeded(call_.allocate(&address, bytes), "cuMemAlloc");
    return is_there ? reinterpret_cast<void*>(address) : nullptr;  // the processor cannot read it
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
  Functions call_{};
  std::string name_;
};

}  // namespace

std::unique_ptr<Driver> open_cuda(bool async, std::string& reason) {
  auto driver = std::make_unique<Cuda>(async);
  reason = driver->open();
  return reason.empty() ? std::move(driver) : nullptr;
}

}  // namespace memtool::device
