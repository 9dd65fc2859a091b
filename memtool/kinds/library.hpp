// A system library that is loaded on demand, so that building memtool does not require it.
#pragma once

#include <dlfcn.h>

namespace memtool {

// Stays loaded until the process ends, which measures one thing.
class Library {
 public:
  explicit Library(const char* name) noexcept : handle_(dlopen(name, RTLD_NOW | RTLD_LOCAL)) {}

  // A table of functions initialises each with its name: `void (*init)() = library["GC_init"];`
  class Function {
   public:
    explicit Function(void* address) noexcept : address_(address) {}
    template <class F>
    operator F*() const noexcept {
      return reinterpret_cast<F*>(address_);
    }

   private:
    void* address_;
  };
  Function operator[](const char* name) noexcept {
    void* address = handle_ == nullptr ? nullptr : dlsym(handle_, name);
    if (address == nullptr && missing_ == nullptr) missing_ = name;
    return Function(address);
  }
  [[nodiscard]] bool is_there() const noexcept { return handle_ != nullptr; }
  // The first function that it lacks; nullptr: none.
  [[nodiscard]] const char* missing() const noexcept { return missing_; }

 private:
  void* handle_;
  const char* missing_ = nullptr;
};

}  // namespace memtool
