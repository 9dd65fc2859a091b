// The file of a workload, and what of it is in the page cache.
//
// memtool holds it open without a name (memtool/kinds/file/place.py): it is gone when memtool is, however that ends.
// Whoever finds it shorter than it must be fills it first, so that what is only planned takes no room.
#pragma once

#include <cstdint>

#include "engine/replay/kernel.hpp"
#include "kinds/file/image.hpp"

namespace memtool::file {

// A descriptor that is closed with it.
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

  // Each returns false once the sample has failed, with its words in the result.
  bool open();                                 // and fills it, unless it is one that is appended to
  bool refill();                               // with the words of the first writing
  bool open_direct(Descriptor& direct) const;  // past the page cache
  bool prepare();                              // the page cache as the workload wants it before a round
  bool drop();                                 // makes it durable, and takes it out of the page cache
  bool read_through();                         // all of it, into the page cache

  [[nodiscard]] int number() const noexcept { return file_.number(); }
  [[nodiscard]] bool is_regular() const noexcept { return image_.kind == Kind::regular; }
  // Of the file, in the page cache; and of these, not yet on the device. kNotApplicable where nothing counts them.
  [[nodiscard]] std::uint64_t cached_bytes() const noexcept;
  [[nodiscard]] std::uint64_t dirty_bytes() const noexcept;

 private:
  bool open_device();
  bool fill();
  bool warm();
  bool refuse(const char* what) const;  // with the words of errno

  KernelCall& call_;
  const Image& image_;
  Descriptor file_;
};

}  // namespace memtool::file

// Bytes of a regular file that are in the page cache; ~0: nothing counts them.
extern "C" [[gnu::visibility("default")]] std::uint64_t memtool_cached_bytes(int file);
