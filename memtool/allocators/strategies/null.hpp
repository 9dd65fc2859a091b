// The control: hands out the same touched block again and again, so that a replay of it costs what the harness costs.
#pragma once

#include "engine/registry.hpp"

namespace memtool {

class Null {
 public:
  static constexpr StrategyInfo info{
      .name = "null",
      .family = "control",
      .summary = "Returns one fixed, touched block; measures the harness, not memory management.",
      .source = "the empty loop that every benchmark should publish",
      .complexity = "O(1), no memory access",
      .when = "never; it is subtracted to give net times",
      .is_control = true,
  };

  Null(Region& region, const Parameters&) noexcept : block_(region.base()) {}
  static Limits limits(const Parameters&) { return {}; }

  void* allocate(std::size_t, std::size_t) noexcept { return block_; }
  void* allocate_zeroed(std::size_t, std::size_t) noexcept { return block_; }
  void deallocate(void*, std::size_t, std::size_t) noexcept {}
  void* reallocate(void* block, std::size_t, std::size_t, std::size_t) noexcept { return block; }
  std::size_t usable_size(const void*, std::size_t size) const noexcept { return size; }
  HeapStats stats() const noexcept { return {}; }
  void walk(const BlockVisitor&) const {}
  void check() const {}

 private:
  void* block_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::Null);
