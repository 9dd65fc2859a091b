// Fills new and freed memory with patterns.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>

#include "allocators/concept/adaptor.hpp"

namespace memtool {

class Fill final : public Layer {
 public:
  static constexpr std::array<ParameterInfo, 2> kParameters{{
      {.name = "fresh",
       .summary = "byte that fills a new block unless zeroed memory was requested",
       .default_value = 0xbe,
       .maximum = 255,
       .unit = "count"},
      {.name = "freed",
       .summary = "byte that fills a block before it is freed",
       .default_value = 0xfd,
       .maximum = 255,
       .unit = "count"},
  }};
  static constexpr AdaptorInfo info{
      .name = "fill",
      .summary = "Fills each new and each freed block with a byte, so no program can rely on earlier contents.",
      .source = "jemalloc's opt.junk; glibc's M_PERTURB (mallopt(3))",
      .cost = "one fill when a block is allocated and one when it is freed; both touch all of its pages",
      .when = "programs that read memory they have not written; the cost of touching every byte",
      .parameters = kParameters,
      .threads = Threads::as_below,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters& parameters, Findings&) {
    return std::make_unique<Fill>(std::move(below), static_cast<int>(parameters["fresh"]),
                                  static_cast<int>(parameters["freed"]));
  }

  Fill(std::unique_ptr<AnyHeap> below, int fresh, int freed) noexcept
      : Layer(std::move(below)), fresh_(fresh), freed_(freed) {}

  void* allocate(std::size_t size, std::size_t alignment) override {
    void* block = below().allocate(size, alignment);
    if (block != nullptr) std::memset(block, fresh_, size);
    return block;
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    std::memset(block, freed_, size);
    below().deallocate(block, size, alignment);
  }
  // When a block moves, the old block is freed without a fill, because only the heap below knows of the move before it
  // frees the block.
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    auto* moved = static_cast<std::byte*>(below().reallocate(block, old_size, new_size, alignment));
    if (moved != nullptr && new_size > old_size) std::memset(moved + old_size, fresh_, new_size - old_size);
    return moved;
  }

 private:
  int fresh_;
  int freed_;
};

}  // namespace memtool
