// OpenCL 1.2, by the loader of the system (libOpenCL.so.1): The OpenCL Specification 1.2, Khronos 2012.
#include <dlfcn.h>

#include <cstddef>

#include "kinds/device/driver.hpp"

namespace memtool::device {
namespace {

using Id = void*;
constexpr std::uint64_t kAnyDevice = 0xFFFFFFFF;
constexpr std::uint64_t kReadWrite = 1;
constexpr std::uint64_t kUndefined = 2;  // what is in the memory may be lost
constexpr std::uint32_t kDeviceName = 0x102B;
constexpr std::size_t kWorkers = 64;

constexpr const char* kSource = R"(
uchar drawn(ulong i, ulong seed) { return (uchar)((i * 0x9E3779B1ul + seed * 0x85EBCA77ul) >> 13); }
kernel void fill(global uchar* memory, ulong offset, ulong bytes, ulong seed) {
  for (ulong i = get_global_id(0); i < bytes; i += get_global_size(0)) memory[offset + i] = drawn(i, seed);
}
kernel void check(global const uchar* memory, ulong offset, ulong bytes, ulong seed, global uint* wrong) {
  for (ulong i = get_global_id(0); i < bytes; i += get_global_size(0))
    if (memory[offset + i] != drawn(i, seed)) atomic_inc(wrong);
}
)";

// The functions of the loader that are called.
struct Functions {
  int (*get_platforms)(std::uint32_t, Id*, std::uint32_t*);
  int (*get_devices)(Id, std::uint64_t, std::uint32_t, Id*, std::uint32_t*);
  int (*get_device)(Id, std::uint32_t, std::size_t, void*, std::size_t*);
  Id (*create_context)(const void*, std::uint32_t, const Id*, const void*, void*, int*);
  Id (*create_queue)(Id, Id, std::uint64_t, int*);
  Id (*create_buffer)(Id, std::uint64_t, std::size_t, void*, int*);
  int (*release_buffer)(Id);
  int (*migrate_buffers)(Id, std::uint32_t, const Id*, std::uint64_t, std::uint32_t, const void*, void*);
  Id (*create_program)(Id, std::uint32_t, const char**, const std::size_t*, int*);
  int (*build_program)(Id, std::uint32_t, const Id*, const char*, const void*, void*);
  Id (*create_kernel)(Id, const char*, int*);
  int (*set_argument)(Id, std::uint32_t, std::size_t, const void*);
  int (*enqueue_kernel)(Id, Id, std::uint32_t, const std::size_t*, const std::size_t*, const std::size_t*,
                        std::uint32_t, const void*, void*);
  int (*read_buffer)(Id, Id, std::uint32_t, std::size_t, std::size_t, void*, std::uint32_t, const void*, void*);
  int (*write_buffer)(Id, Id, std::uint32_t, std::size_t, std::size_t, const void*, std::uint32_t, const void*, void*);
  int (*finish)(Id);

  // The name of one that the library lacks; nullptr: it has all.
  const char* load(void* library) noexcept {
    const char* missing = nullptr;
    const auto take = [&](auto& function, const char* name) {
      void* symbol = dlsym(library, name);
      if (symbol == nullptr && missing == nullptr) missing = name;
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
    };
    take(get_platforms, "clGetPlatformIDs");
    take(get_devices, "clGetDeviceIDs");
    take(get_device, "clGetDeviceInfo");
    take(create_context, "clCreateContext");
    take(create_queue, "clCreateCommandQueue");
    take(create_buffer, "clCreateBuffer");
    take(release_buffer, "clReleaseMemObject");
    take(migrate_buffers, "clEnqueueMigrateMemObjects");
    take(create_program, "clCreateProgramWithSource");
    take(build_program, "clBuildProgram");
    take(create_kernel, "clCreateKernel");
    take(set_argument, "clSetKernelArg");
    take(enqueue_kernel, "clEnqueueNDRangeKernel");
    take(read_buffer, "clEnqueueReadBuffer");
    take(write_buffer, "clEnqueueWriteBuffer");
    take(finish, "clFinish");
    return missing;
  }
};

// Everything lives as long as the process, which measures one thing and ends.
class OpenCl final : public Driver {
 public:
  explicit OpenCl(bool uses) noexcept : uses_(uses) {}

  // In words why it cannot be used; empty: it can.
  std::string open() {
    void* library = dlopen("libOpenCL.so.1", RTLD_NOW);
    if (library == nullptr) return "no OpenCL loader (libOpenCL.so.1)";
    if (const char* missing = call_.load(library)) return std::string("the OpenCL loader has no ") + missing;
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
    context_ = call_.create_context(nullptr, 1, &device, nullptr, nullptr, &problem);
    if (context_ != nullptr) queue_ = call_.create_queue(context_, device, 0, &problem);
    if (queue_ == nullptr) return name_ + " gives no queue of commands (" + std::to_string(problem) + ")";
    device_ = device;
    return {};
  }

  [[nodiscard]] const std::string& device() const noexcept override { return name_; }
  [[nodiscard]] void* allocate(std::uint64_t bytes) noexcept override {
    Id memory = call_.create_buffer(context_, kReadWrite, bytes, nullptr, &problem);
    if (!uses_ || memory == nullptr) return memory;
    if (is_done(call_.migrate_buffers(queue_, 1, &memory, kUndefined, 0, nullptr, nullptr)) &&
        is_done(call_.finish(queue_)))
      return memory;
    free(memory);
    return nullptr;
  }
  void free(void* memory) noexcept override { call_.release_buffer(memory); }

  [[nodiscard]] bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) override {
    return build() && launch(fill_, memory, offset, bytes, seed) && is_done(call_.finish(queue_));
  }
  [[nodiscard]] bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                           std::uint64_t& wrong) override {
    std::uint32_t count = 0;
    if (!build() || !is_done(call_.write_buffer(queue_, wrong_, 1, 0, sizeof count, &count, 0, nullptr, nullptr)) ||
        !is_done(call_.set_argument(check_, 4, sizeof wrong_, &wrong_)) ||
        !launch(check_, memory, offset, bytes, seed) ||
        !is_done(call_.read_buffer(queue_, wrong_, 1, 0, sizeof count, &count, 0, nullptr, nullptr)))
      return false;
    wrong = count;
    return true;
  }

 private:
  bool is_done(int status) noexcept {
    problem = status;
    return status == 0;
  }
  bool build() {
    if (check_ != nullptr) return true;
    const char* source = kSource;
    Id program = call_.create_program(context_, 1, &source, nullptr, &problem);
    if (program == nullptr || !is_done(call_.build_program(program, 1, &device_, "", nullptr, nullptr))) return false;
    fill_ = call_.create_kernel(program, "fill", &problem);
    wrong_ = allocate(sizeof(std::uint32_t));
    check_ = call_.create_kernel(program, "check", &problem);
    return fill_ != nullptr && check_ != nullptr && wrong_ != nullptr;
  }
  bool launch(Id kernel, Id memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) noexcept {
    return is_done(call_.set_argument(kernel, 0, sizeof memory, &memory)) &&
           is_done(call_.set_argument(kernel, 1, sizeof offset, &offset)) &&
           is_done(call_.set_argument(kernel, 2, sizeof bytes, &bytes)) &&
           is_done(call_.set_argument(kernel, 3, sizeof seed, &seed)) &&
           is_done(call_.enqueue_kernel(queue_, kernel, 1, nullptr, &kWorkers, nullptr, 0, nullptr, nullptr));
  }

  bool uses_;
  Functions call_{};
  std::string name_;
  Id device_ = nullptr;
  Id context_ = nullptr;
  Id queue_ = nullptr;
  Id fill_ = nullptr;
  Id check_ = nullptr;
  Id wrong_ = nullptr;
};

}  // namespace

std::unique_ptr<Driver> open_opencl(bool uses, std::string& reason) {
  auto driver = std::make_unique<OpenCl>(uses);
  reason = driver->open();
  return reason.empty() ? std::move(driver) : nullptr;
}

}  // namespace memtool::device
