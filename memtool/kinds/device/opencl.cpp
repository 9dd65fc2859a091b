// OpenCL 1.2 through the loader of the system (libOpenCL.so.1): The OpenCL Specification 1.2, Khronos 2012.
#include <cstddef>

#include "kinds/device/loaded.hpp"

namespace memtool::device {
namespace {

using Id = void*;
constexpr std::uint64_t kAnyDevice = 0xFFFFFFFF;
constexpr std::uint64_t kReadWrite = 1;
constexpr std::uint64_t kUndefined = 2;  // the contents of the memory may be lost
constexpr std::uint32_t kDeviceName = 0x102B;
constexpr std::size_t kWorkers = 64;

constexpr const char* kSource = R"(
uchar pattern(ulong i, ulong seed) { return (uchar)((i * 0x9E3779B1ul + seed * 0x85EBCA77ul) >> 13); }
kernel void fill(global uchar* memory, ulong offset, ulong bytes, ulong seed) {
  for (ulong i = get_global_id(0); i < bytes; i += get_global_size(0)) memory[offset + i] = pattern(i, seed);
}
kernel void check(global const uchar* memory, ulong offset, ulong bytes, ulong seed, global uint* mismatches) {
  for (ulong i = get_global_id(0); i < bytes; i += get_global_size(0))
    if (memory[offset + i] != pattern(i, seed)) atomic_inc(mismatches);
}
)";

// The loader's functions that are called.
struct Functions {
  Library loaded{"libOpenCL.so.1"};
  int (*get_platforms)(std::uint32_t, Id*, std::uint32_t*) = loaded["clGetPlatformIDs"];
  int (*get_devices)(Id, std::uint64_t, std::uint32_t, Id*, std::uint32_t*) = loaded["clGetDeviceIDs"];
  int (*get_device)(Id, std::uint32_t, std::size_t, void*, std::size_t*) = loaded["clGetDeviceInfo"];
  Id (*create_context)(const void*, std::uint32_t, const Id*, const void*, void*, int*) = loaded["clCreateContext"];
  Id (*create_queue)(Id, Id, std::uint64_t, int*) = loaded["clCreateCommandQueue"];
  Id (*create_buffer)(Id, std::uint64_t, std::size_t, void*, int*) = loaded["clCreateBuffer"];
  int (*release_buffer)(Id) = loaded["clReleaseMemObject"];
  int (*migrate_buffers)(Id, std::uint32_t, const Id*, std::uint64_t, std::uint32_t, const void*,
                         void*) = loaded["clEnqueueMigrateMemObjects"];
  Id (*create_program)(Id, std::uint32_t, const char**, const std::size_t*, int*) = loaded["clCreateProgramWithSource"];
  int (*build_program)(Id, std::uint32_t, const Id*, const char*, const void*, void*) = loaded["clBuildProgram"];
  Id (*create_kernel)(Id, const char*, int*) = loaded["clCreateKernel"];
  int (*set_argument)(Id, std::uint32_t, std::size_t, const void*) = loaded["clSetKernelArg"];
  int (*enqueue_kernel)(Id, Id, std::uint32_t, const std::size_t*, const std::size_t*, const std::size_t*,
                        std::uint32_t, const void*, void*) = loaded["clEnqueueNDRangeKernel"];
  int (*read_buffer)(Id, Id, std::uint32_t, std::size_t, std::size_t, void*, std::uint32_t, const void*,
                     void*) = loaded["clEnqueueReadBuffer"];
  int (*write_buffer)(Id, Id, std::uint32_t, std::size_t, std::size_t, const void*, std::uint32_t, const void*,
                      void*) = loaded["clEnqueueWriteBuffer"];
  int (*finish)(Id) = loaded["clFinish"];
};

// Everything lives as long as the process, which measures one thing and ends.
class OpenCl final : public Loaded {
 public:
  explicit OpenCl(bool migrates) noexcept : migrates_(migrates) {}

  // Returns why it cannot be used, or "".
  std::string open() {
    const std::string missing = what_lacks(call_.loaded, "libOpenCL.so.1", "OpenCL loader");
    if (!missing.empty()) return missing;
    Id platforms[16];
    std::uint32_t count = 0;
    if (call_.get_platforms(16, platforms, &count) != 0 || count == 0) return "no OpenCL driver is installed";
    Id device = nullptr;
    for (std::uint32_t i = 0; i < count && i < 16 && device == nullptr; ++i)
      if (call_.get_devices(platforms[i], kAnyDevice, 1, &device, nullptr) != 0) device = nullptr;
    if (device == nullptr) return "no OpenCL driver has a device";
    char name[256] = "";
    call_.get_device(device, kDeviceName, sizeof name - 1, name, nullptr);
    name_ = name;
    int status = 0;
    context_ = call_.create_context(nullptr, 1, &device, nullptr, nullptr, &status);
    if (context_ != nullptr) queue_ = call_.create_queue(context_, device, 0, &status);
    if (queue_ == nullptr) return name_ + " gives no queue of commands (error " + std::to_string(status) + ")";
    device_ = device;
    return {};
  }

  [[nodiscard]] void* allocate(std::uint64_t bytes) noexcept override {
    int status = 0;
    Id memory = call_.create_buffer(context_, kReadWrite, bytes, nullptr, &status);
    if (!succeeded(status, "clCreateBuffer")) return nullptr;
    if (!migrates_) return memory;
    if (succeeded(call_.migrate_buffers(queue_, 1, &memory, kUndefined, 0, nullptr, nullptr),
                  "clEnqueueMigrateMemObjects") &&
        finish())
      return memory;
    free(memory);
    return nullptr;
  }
  void free(void* memory) noexcept override { succeeded(call_.release_buffer(memory), "clReleaseMemObject"); }

  [[nodiscard]] bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) override {
    return build() && launch(fill_, memory, offset, bytes, seed) && finish();
  }
  [[nodiscard]] bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                           std::uint64_t& mismatches) override {
    std::uint32_t count = 0;
    if (!build() ||
        !succeeded(call_.write_buffer(queue_, mismatches_, 1, 0, sizeof count, &count, 0, nullptr, nullptr),
                   "clEnqueueWriteBuffer") ||
        !set_argument(check_, 4, mismatches_) || !launch(check_, memory, offset, bytes, seed) ||
        !succeeded(call_.read_buffer(queue_, mismatches_, 1, 0, sizeof count, &count, 0, nullptr, nullptr),
                   "clEnqueueReadBuffer"))
      return false;
    mismatches = count;
    return true;
  }

 private:
  [[nodiscard]] bool lacks_memory(int status) const noexcept override {
    // CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES, CL_OUT_OF_HOST_MEMORY, CL_INVALID_BUFFER_SIZE
    return status == -4 || status == -5 || status == -6 || status == -61;
  }
  bool finish() noexcept { return succeeded(call_.finish(queue_), "clFinish"); }
  bool build() {
    if (check_ != nullptr) return true;
    const char* source = kSource;
    int status = 0;
    Id program = call_.create_program(context_, 1, &source, nullptr, &status);
    if (!succeeded(status, "clCreateProgramWithSource") ||
        !succeeded(call_.build_program(program, 1, &device_, "", nullptr, nullptr), "clBuildProgram"))
      return false;
    fill_ = call_.create_kernel(program, "fill", &status);
    if (!succeeded(status, "clCreateKernel")) return false;
    mismatches_ = allocate(sizeof(std::uint32_t));
    if (mismatches_ == nullptr) return false;
    check_ = call_.create_kernel(program, "check", &status);
    return succeeded(status, "clCreateKernel");
  }
  template <class T>
  bool set_argument(Id kernel, std::uint32_t index, const T& value) noexcept {
    return succeeded(call_.set_argument(kernel, index, sizeof value, &value), "clSetKernelArg");
  }
  bool launch(Id kernel, Id memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) noexcept {
    return set_argument(kernel, 0, memory) && set_argument(kernel, 1, offset) && set_argument(kernel, 2, bytes) &&
           set_argument(kernel, 3, seed) &&
           succeeded(call_.enqueue_kernel(queue_, kernel, 1, nullptr, &kWorkers, nullptr, 0, nullptr, nullptr),
                     "clEnqueueNDRangeKernel");
  }

  bool migrates_;
  Functions call_;
  Id device_ = nullptr;
  Id context_ = nullptr;
  Id queue_ = nullptr;
  Id fill_ = nullptr;
  Id check_ = nullptr;
  Id mismatches_ = nullptr;  // the kernel's counter
};

}  // namespace

std::unique_ptr<Driver> open_opencl(bool migrates, std::string& reason) {
  return opened(std::make_unique<OpenCl>(migrates), reason);
}

}  // namespace memtool::device
