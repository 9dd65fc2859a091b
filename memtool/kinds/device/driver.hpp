// A driver of device memory, loaded where there is one: nothing of it is needed to build memtool.
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

  [[nodiscard]] virtual const std::string& device() const noexcept = 0;  // in the driver's words
  // Memory of the device, which is no address of the processor's; nullptr: there is none left, or complaint() says why.
  [[nodiscard]] virtual void* allocate(std::uint64_t bytes) noexcept = 0;
  virtual void free(void* memory) noexcept = 0;
  // Run on the device: fills a part of an allocation with a pattern that depends on `seed`, and counts the bytes that
  // differ from it. False where the device refuses.
  [[nodiscard]] virtual bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) = 0;
  [[nodiscard]] virtual bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                                   std::uint64_t& mismatches) = 0;

  // The first call that failed for another reason than a lack of memory, as a device does that has gone away.
  [[nodiscard]] const std::string& complaint() const noexcept { return complaint_; }

 protected:
  // Whether a call has succeeded; a status that is neither success nor a lack of memory is kept as the complaint.
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

// nullptr, with the reason in words, where this machine has no such driver or no device.
// `migrates`: brings each allocation to the device, for a driver may put off taking memory until then.
std::unique_ptr<Driver> open_opencl(bool migrates, std::string& reason);
// `async`: cuMemAllocAsync, from the device's pool, in the order of a stream.
std::unique_ptr<Driver> open_cuda(bool async, std::string& reason);
// Host memory in place of a device's, and the processor in place of its kernels: there on every machine.
std::unique_ptr<Driver> open_host(std::string& reason);

}  // namespace memtool::device
