// The file of a workload, and its part in the page cache.
//
// memtool holds it open without a name (memtool/kinds/file/place.py), so it disappears with memtool, however memtool
// ends. A process that finds it too short fills it first. So a file that is only planned takes no space.
#pragma once

#include <cstdint>

#include "engine/replay/kernel.hpp"
#include "kinds/file/image.hpp"

namespace memtool::file {

// Closes a descriptor when it is destroyed.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) noexcept : number_(number) {}
  ~Descriptor() { reset(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  void reset(int number = -1) noexcept;
  [[nodiscard]] int number() const noexcept { return number_; }
  [[nodiscard]] bool is_open() const noexcept { return number_ >= 0; }

 private:
  int number_;
};

class DataFile {
 public:
  DataFile(KernelCall& call, const Image& image) noexcept : call_(call), image_(image) {}

  // Each function returns false once the sample has failed, with a message in the result.
  bool open();                                 // also fills it, unless it is appended to
  bool refill();                               // with the words of the first writing
  bool open_direct(Descriptor& direct) const;  // bypasses the page cache
  bool prepare();       // brings the page cache into the state that the workload wants before a round
  bool drop();          // makes the file durable, and drops it from the page cache
  bool read_through();  // reads all of it into the page cache

  [[nodiscard]] int number() const noexcept { return file_.number(); }
  [[nodiscard]] bool is_regular() const noexcept { return image_.kind == Kind::regular; }
  // Bytes of the file in the page cache, and those of them that are not yet on the device. kNotApplicable if nothing
  // counts them.
  [[nodiscard]] std::uint64_t cached_bytes() const noexcept;
  [[nodiscard]] std::uint64_t dirty_bytes() const noexcept;

 private:
  bool open_device();
  bool fill();
  bool warm();
  bool refuse(const char* what) const;  // with the message of errno

  KernelCall& call_;
  const Image& image_;
  Descriptor file_;
};

}  // namespace memtool::file

// Bytes of a regular file that are in the page cache; ~0: nothing counts them.
extern "C" [[gnu::visibility("default")]] std::uint64_t memtool_cached_bytes(int file);
