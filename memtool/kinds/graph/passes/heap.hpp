// The heap pass: a map of the heap at the peak of live bytes and at the end, with the number of collections that
// objects have survived, and the dead objects. It is not timed, and a second graph tracks what is reachable.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <vector>

#include "engine/passes/heap_map.hpp"
#include "kinds/graph/kernel.hpp"
#include "kinds/graph/passes/row.hpp"
#include "kinds/graph/play/audit.hpp"
#include "kinds/graph/play/known_places.hpp"

namespace memtool::graph {

class HeapMaps {
 public:
  HeapMaps(KernelCall& call, Row& row, Audit& audit)
      : call_(call), row_(row), audit_(audit), figures_(call.figures<MapsFigures>()), parts_(new HeapMap{}) {}

  // Called when a new object exists.
  void note() {
    born_.push_back(passed());
    if (born_.size() == peak_) take(MEMTOOL_AT_PEAK);
  }
  void take(std::uint64_t moment) {
    GraphMap& next = figures_.map[figures_.maps++];
    next.map.moment = moment;
    next.map.clock = audit_.operations;
    next.map.own = {kNotApplicable, kNotApplicable, kNotApplicable, kNotApplicable};
    Blocks all;
    Blocks parts[kAges];
    audit_.verify(row_.roots(), [&](Object* object, std::uint32_t number) {
      const std::uint64_t body = audit_[number].body;
      next.map.live_bytes += body;
      const Block block =
          row_.collector() != nullptr ? in_collector(object) : Block{object, row_.heap()->usable_size(object, body)};
      all.push_back(block);
      if (const std::uint64_t age = age_of(number); row_.collector() != nullptr && age > 0)
        parts[age == 1 ? kOnce : kMore].push_back(block);
    });
    if (row_.collector() != nullptr)
      row_.collector()->walk([&](Object* object, std::uint64_t, std::uint32_t references) {
        const std::uint32_t number = Audit::number_in(object, references);
        if (number == 0 || number > audit_.made() || audit_.is_reachable(number)) return;
        parts[age_of(number) == 0 ? kDead : kDeadKept].push_back(in_collector(object));
      });
    map(next.map, all);
    for (std::size_t part = 0; part < kAges; ++part) {
      map(*parts_, parts[part]);
      for (std::uint64_t i = 0; i < parts_->buckets; ++i) next.ages[i].bytes[part] = parts_->bucket[i].used;
    }
    next.has_ages = row_.collector() != nullptr ? 1 : 0;
    if (row_.collector() != nullptr) free_is_the_rest(next);
  }
  void find_peak() {
    std::vector<Object*> places;
    FindsPlaces finds(call_.region, row_.roots(), row_.program().head().slots, places);
    if (row_.play_on(finds)) peak_ = finds.peak();
  }

 private:
  struct Block {
    const void* first;
    std::size_t bytes;
  };
  using Blocks = std::vector<Block>;

  [[nodiscard]] std::uint64_t passed() noexcept { return row_.telemetry().collections + row_.telemetry().minor; }
  [[nodiscard]] std::uint64_t age_of(std::uint32_t number) noexcept { return passed() - born_[number - 1]; }
  [[nodiscard]] Block in_collector(Object* object) const noexcept {
    const std::byte* cell = reinterpret_cast<const std::byte*>(object) - row_.entry()->info.header;
    return {cell, Header(word_at(cell)).bytes()};
  }
  void map(HeapMap& into, const Blocks& blocks) {
    mapper_.map_region(
        call_.region,
        [&](const BlockVisitor& visit) {
          into.walked = 1;
          if (row_.heap() != nullptr) row_.heap()->walk(visit);
        },
        [&](const HeapMapper::BlockReport& report) {
          for (const Block& block : blocks) report(block.first, block.bytes);
        },
        into);
  }
  // A collector does not report free memory, so it is the memory without objects.
  static void free_is_the_rest(GraphMap& of) noexcept {
    HeapMap& map = of.map;
    for (std::uint64_t i = 0; i < map.buckets; ++i) {
      const std::uint64_t length = std::min(map.bucket_bytes, map.extent[0].bytes - i * map.bucket_bytes);
      const std::uint64_t taken = map.bucket[i].used + of.ages[i].bytes[kDead] + of.ages[i].bytes[kDeadKept];
      map.bucket[i].free = length - std::min(length, taken);
    }
  }

  KernelCall& call_;
  Row& row_;
  Audit& audit_;
  MapsFigures& figures_;
  HeapMapper mapper_{{}};
  std::unique_ptr<HeapMap> parts_;
  std::vector<std::uint64_t> born_;  // number of collections before each object's allocation
  std::size_t peak_ = 0;             // number of the object that is allocated when live bytes peak
};

// A second graph remembers all objects, so only so many can be mapped.
inline constexpr std::uint64_t kMostMapped = std::uint64_t{1} << 22;

inline void heap(KernelCall& call) {
  Row row(call);
  if (row.program().head().allocations > kMostMapped) return;
  Audit audit(row.program().head().roots);
  HeapMaps maps(call, row, audit);
  maps.find_peak();
  row.open();
  // For a heap outside of the region, its pages cannot be told apart from those of the second graph.
  if (row.heap() != nullptr ? !row.heap()->uses_region() : !row.entry()->info.uses_region) return;
  audit.made_one = [&] { maps.note(); };
  if (row.audit(audit)) maps.take(MEMTOOL_AT_END);
}

}  // namespace memtool::graph
