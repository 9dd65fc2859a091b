// A driver of device memory. It is loaded if present; building memtool does not require it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace memtool::device {

class Driver {
 public:
  virtual ~Driver() = default;
  Driver() = default;
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  [[nodiscard]] virtual const std::string& device() const noexcept = 0;  // the driver's name for the device
  // Allocates memory of the device. The result is not an address of the processor's. Returns nullptr if there is no
  // memory left, or if complaint() is set.
  [[nodiscard]] virtual void* allocate(std::uint64_t bytes) noexcept = 0;
  virtual void free(void* memory) noexcept = 0;
  // Run on the device: the first fills a part of an allocation with a pattern that depends on `seed`, the second counts
  // the bytes that differ from it. They return false if the device refuses.
  [[nodiscard]] virtual bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) = 0;
  [[nodiscard]] virtual bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                                   std::uint64_t& mismatches) = 0;

  // The first call that failed for a reason other than a lack of memory, such as a device that was removed.
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

 protected:
  // Whether a call succeeded. A status other than success or lack of memory is kept as the complaint.
  bool succeeded(int status, const char* call) noexcept {
    if (status == 0) return true;
    if (!lacks_memory(status) && complaint_.empty())
      complaint_ = device() + ": " + call + " has failed with error " + std::to_string(status);
    return false;
  }
  [[nodiscard]] virtual bool lacks_memory(int status) const noexcept = 0;

 private:
  std::string complaint_;
};

// Returns nullptr and a reason if this machine has no such driver or no device. `migrates`: moves each allocation to
// the device, because a driver may otherwise take memory only later.
std::unique_ptr<Driver> open_opencl(bool migrates, std::string& reason);
// `async`: uses cuMemAllocAsync, which allocates from the device's pool in the order of a stream.
std::unique_ptr<Driver> open_cuda(bool async, std::string& reason);
// Host memory in place of a device's, and the processor in place of its kernels. Available on every machine.
std::unique_ptr<Driver> open_host(std::string& reason);

}  // namespace memtool::device
