// The list of collectors: the description of each, and how to open one.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "allocators/concept/parameters.hpp"
#include "kinds/graph/collectors/collector.hpp"
#include "kinds/graph/play/audit.hpp"

namespace memtool::graph {

struct CollectorInfo {
  std::string_view name;
  std::string_view summary;
  std::string_view source;
  std::string_view complexity;
  std::string_view when;
  std::span<const ParameterInfo> parameters;
  std::size_t header = 8;      // number of bytes before each object
  bool has_barriers = false;   // whether reference writes of the program have barriers
  bool leaves_cycles = false;  // unless the settings ask it to find them
  bool is_timed = false;       // works for as long as time permits, so its figures differ from run to run
  bool uses_region = true;
  std::string_view soname = {};   // of the system library that contains it
  std::string_view package = {};  // Debian package of that library
};

// Flag of a heap size that is a multiple of the largest reachable size, in thousandths.
inline constexpr std::uint64_t kMultiple = std::uint64_t{1} << 62;
inline constexpr std::uint64_t kLeastHeap = std::uint64_t{1} << 18;  // for such a multiple

// A collector on which a program is played.
class AnyCollector {
 public:
  virtual ~AnyCollector() = default;
  virtual Outcome play(const Program& program) = 0;
  // The same without barriers, on a heap that is never full.
  virtual Outcome play_unguarded(const Program& program) = 0;
  // The same with everything verified.
  virtual void audit(const Program& program, Outcome& outcome, Audit& audit) = 0;
  virtual void collect() = 0;
  [[nodiscard]] virtual std::uint64_t apart_bytes() const = 0;
  // Visits each object that was not reclaimed, with its references.
  using Visit = std::function<void(Object*, std::uint64_t bytes, std::uint32_t references)>;
  virtual void walk(const Visit& visit) = 0;
};

struct CollectorEntry {
  CollectorInfo info;
  std::unique_ptr<AnyCollector> (*open)(Surroundings&);
};

// THE list.
std::span<const CollectorEntry> collectors() noexcept;
const CollectorEntry* find_collector(std::string_view name) noexcept;

// Derives the settings from the parameters of a row and the largest reachable size with headers. Throws
// std::invalid_argument.
Settings settings_of(const CollectorInfo& info, std::string_view parameters, const Head& head, double ticks_per_ns);

}  // namespace memtool::graph
