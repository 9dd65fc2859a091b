// A driver in a system library.
#pragma once

#include <memory>
#include <string>

#include "kinds/device/driver.hpp"
#include "kinds/library.hpp"

namespace memtool::device {

class Loaded : public Driver {
 public:
  [[nodiscard]] const std::string& device() const noexcept final { return name_; }

 protected:
  // Returns what is missing, the library itself or a function of it, or "".
  static std::string what_lacks(const Library& library, const char* name, const std::string& called) {
    if (!library.is_there()) return "no " + called + " (" + name + ")";
    return library.missing() == nullptr ? "" : "the " + called + " has no " + library.missing();
  }

  std::string name_;  // the driver's name for the device
};

// Opens a driver. If open() reports why it cannot be used, returns nullptr and that reason.
template <class D>
std::unique_ptr<Driver> opened(std::unique_ptr<D> driver, std::string& reason) {
  reason = driver->open();
  return reason.empty() ? std::move(driver) : nullptr;
}

}  // namespace memtool::device
