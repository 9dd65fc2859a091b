// A driver that is a library of the system: found when it is wanted, and called by functions that are looked up in it.
#pragma once

#include <dlfcn.h>

#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>

#include "kinds/device/driver.hpp"

namespace memtool::device {

// A function of a library, and the pointer that is to lead to it.
class Symbol {
 public:
  template <class F>
  Symbol(F*& function, const char* name) noexcept : pointer_(&function), name_(name) {}

  [[nodiscard]] const char* name() const noexcept { return name_; }
  // False: the library lacks it.
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
  // In words what is missing of a library, called so; empty: nothing is. It stays loaded as long as the process lives,
  // which measures one thing and ends.
  static std::string load(const char* library, const std::string& called, std::initializer_list<Symbol> symbols) {
    void* const loaded = dlopen(library, RTLD_NOW);
    if (loaded == nullptr) return "no " + called + " (" + library + ")";
    for (const Symbol& symbol : symbols)
      if (!symbol.take(loaded)) return "the " + called + " has no " + symbol.name();
    return {};
  }

  std::string name_;  // of the device, in the driver's words
};

// A driver whose open() says in words why it cannot be used; nullptr with that reason, where it says so.
template <class D>
std::unique_ptr<Driver> opened(std::unique_ptr<D> driver, std::string& reason) {
  reason = driver->open();
  return reason.empty() ? std::move(driver) : nullptr;
}

}  // namespace memtool::device
