// Figures that the kernel counts for this process and for the machine while files are read and written.
#pragma once

#include <cstdint>

namespace memtool::file {

struct Surroundings {
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t huge = 0;        // bytes of files that this process has mapped in huge pages
  std::uint64_t read = 0;        // bytes that this process caused to be read from a device; kNotApplicable: not counted
  std::uint64_t shootdowns = 0;  // TLB shootdowns by all programs; kNotApplicable: not counted
};

Surroundings look_around() noexcept;

}  // namespace memtool::file
