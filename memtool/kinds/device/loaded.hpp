// A driver in a system library. It is loaded on demand, and its functions are looked up by name.
#pragma once

#include <dlfcn.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>

#include "kinds/device/driver.hpp"

namespace memtool::device {

// A function of a library, and the pointer to be set to it.
class Symbol {
 public:
  template <class F>
  Symbol(F*& function, const char* name) noexcept : pointer_(&function), name_(name) {}

  [[nodiscard]] const char* name() const noexcept { return name_; }
  // Returns false if the library lacks it.
  [[nodiscard]] bool take(void* library) const noexcept {
    void* const function = dlsym(library, name_);
    std::memcpy(pointer_, &function, sizeof function);
    return function != nullptr;
  }

 private:
  void* pointer_;
  const char* name_;
};

class Loaded : public Driver {
 public:
  [[nodiscard]] const std::string& device() const noexcept final { return name_; }

 protected:
  // Returns what is missing from a library, or "". The library stays loaded until the process ends, which measures one
  // thing.
  static std::string load(const char* library, const std::string& called, std::initializer_list<Symbol> symbols) {
    void* const loaded = dlopen(library, RTLD_NOW);
    if (loaded == nullptr) return "no " + called + " (" + library + ")";
    for (const Symbol& symbol : symbols)
      if (!symbol.take(loaded)) return "the " + called + " has no " + symbol.name();
    return {};
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
