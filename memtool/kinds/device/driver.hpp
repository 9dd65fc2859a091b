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
  // Memory of the device, which is no address of the processor's; nullptr: there is none left.
  [[nodiscard]] virtual void* allocate(std::uint64_t bytes) noexcept = 0;
  virtual void free(void* memory) noexcept = 0;
  // Run on the device: fills a part of an allocation with what `seed` draws, and counts the bytes that are not so.
  // False where the device refuses, with its number in `problem`.
  [[nodiscard]] virtual bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) = 0;
  [[nodiscard]] virtual bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                                   std::uint64_t& wrong) = 0;
  int problem = 0;
};

// nullptr, with the reason in words, where this machine has no such driver or no device.
// `uses`: brings each allocation to the device, for a driver may put off taking memory until then.
std::unique_ptr<Driver> open_opencl(bool uses, std::string& reason);
// `async`: cuMemAllocAsync, from the device's pool, in the order of a stream.
std::unique_ptr<Driver> open_cuda(bool async, std::string& reason);

}  // namespace memtool::device
