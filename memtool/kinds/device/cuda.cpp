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
    if (!is_done(call_.init(0)) || !is_done(call_.get_device(&device, 0)))
      return "the CUDA driver has no device (" + std::to_string(problem) + ")";
    char name[256] = "";
    call_.get_name(name, sizeof name, device);
    name_ = name;
    void* context = nullptr;
    if (!is_done(call_.retain_context(&context, device)) || !is_done(call_.set_context(context)))
      return name_ + " gives no context (" + std::to_string(problem) + ")";
    return {};
  }

  [[nodiscard]] const std::string& device() const noexcept override { return name_; }
  [[nodiscard]] void* allocate(std::uint64_t bytes) noexcept override {
    Address address = 0;
    if (!is_done(async_ ? call_.allocate_async(&address, bytes, nullptr) : call_.allocate(&address, bytes)))
      return nullptr;
    return reinterpret_cast<void*>(address);  // the processor cannot read it
  }
  void free(void* memory) noexcept override {
    async_ ? call_.free_async(address_of(memory), nullptr) : call_.free(address_of(memory));
  }
  [[nodiscard]] bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) override {
    return is_done(call_.fill(address_of(memory) + offset, drawn(seed), bytes));
  }
  [[nodiscard]] bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                           std::uint64_t& wrong) override {
    std::vector<unsigned char> held(bytes);
    if (!is_done(call_.read(held.data(), address_of(memory) + offset, bytes))) return false;
    wrong = 0;
    for (const unsigned char byte : held) wrong += byte != drawn(seed);
    return true;
  }

 private:
  bool is_done(int status) noexcept {
    problem = status;
    return status == 0;
  }
  static Address address_of(void* memory) noexcept { return reinterpret_cast<Address>(memory); }
  static unsigned char drawn(std::uint64_t seed) noexcept {
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
