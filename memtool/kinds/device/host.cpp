// Host memory in place of a device's, so that dividing a buffer can be checked without a device. Like device memory it
// lies outside of the region, so the writes of an allocator never reach it.
#include <sys/mman.h>

#include <cstddef>

#include "kinds/device/driver.hpp"

namespace memtool::device {
namespace {

class Host final : public Driver {
 public:
  [[nodiscard]] const std::string& device() const noexcept override { return name_; }
  // Kept until the process ends. The process measures one thing and requests only one buffer.
  [[nodiscard]] void* allocate(std::uint64_t bytes) noexcept override {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? nullptr : memory;
  }
  void free(void*) noexcept override {}

  [[nodiscard]] bool fill(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed) override {
    std::byte* block = static_cast<std::byte*>(memory) + offset;
    for (std::uint64_t i = 0; i < bytes; ++i) block[i] = pattern(i, seed);
    return true;
  }
  [[nodiscard]] bool check(void* memory, std::uint64_t offset, std::uint64_t bytes, std::uint64_t seed,
                           std::uint64_t& mismatches) override {
    const std::byte* block = static_cast<const std::byte*>(memory) + offset;
    mismatches = 0;
    for (std::uint64_t i = 0; i < bytes; ++i) mismatches += block[i] != pattern(i, seed);
    return true;
  }

 private:
  [[nodiscard]] bool lacks_memory(int) const noexcept override { return true; }
  static std::byte pattern(std::uint64_t i, std::uint64_t seed) noexcept {
    return static_cast<std::byte>((i * 0x9E3779B1u + seed * 0x85EBCA77u) >> 13);
  }

  const std::string name_ = "host memory, in place of a device's";
};

}  // namespace

std::unique_ptr<Driver> open_host(std::string&) {
  return std::make_unique<Host>();
}

}  // namespace memtool::device
