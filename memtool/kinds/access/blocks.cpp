#include "kinds/access/blocks.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <exception>

#include "engine/passes/check.hpp"

namespace memtool::access {
namespace {

std::uint64_t minor_faults() noexcept {
  rusage used;
  getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_minflt);
}

// The cache lines that `size` bytes at an address occupy.
struct Lines {
  Lines(const std::byte* at, std::uint64_t size) noexcept
      : first(reinterpret_cast<std::uintptr_t>(at) / kLine),
        last((reinterpret_cast<std::uintptr_t>(at) + size - 1) / kLine) {}
  std::uint64_t first;
  std::uint64_t last;
};

std::byte pattern(std::uint64_t i, std::uint64_t at) noexcept {
  return static_cast<std::byte>(i * 0x9d + at * 0x3b + (i >> 8));
}

}  // namespace

Blocks::Blocks(KernelCall& call, const Image& image, std::uint64_t alignment)
    : call_(call), alignment_(alignment), count_(image.blocks), sizes_(image.blocks), blocks_(image.blocks) {
  if (sizes_.data() == nullptr || blocks_.data() == nullptr) return;
  Draw draw(image.seed);
  for (std::uint64_t i = 0; i < count_; ++i)
    sizes_.data()[i] = image.smallest + draw.below(image.largest - image.smallest + 1);
}

bool Blocks::open() {
  if (sizes_.data() == nullptr || blocks_.data() == nullptr)
    return refused(call_.result, MEMTOOL_BAD_REQUEST, "no memory for a table of %llu blocks", as_printed(count_));
  free();
  heap_.reset();
  heap_ = call_.open();
  return true;
}

bool Blocks::allocate() {
  for (; allocated_ < count_; ++allocated_) {
    void* block = heap_->allocate(size(allocated_), alignment_);
    if (block == nullptr) [[unlikely]] {
      call_.result.failed_operation = allocated_;
      call_.result.failed_size = size(allocated_);
      if (!call_.detected())
        fail(call_.result, MEMTOOL_OUT_OF_MEMORY, "out of memory at event %llu, for a request of %llu bytes",
             as_printed(allocated_), as_printed(size(allocated_)));
      return false;
    }
    blocks_.data()[allocated_] = static_cast<std::byte*>(block);
  }
  return true;
}

void Blocks::free() noexcept {
  while (allocated_ > 0) {
    --allocated_;
    heap_->deallocate(at(allocated_), size(allocated_), alignment_);
  }
}

void Blocks::touch() const noexcept {
  for (std::uint64_t i = 0; i < count_; ++i) {
    touch_block(Touch::pages, at(i), size(i));
    *static_cast<volatile std::byte*>(at(i) + size(i) - 1) = std::byte{1};
  }
}

bool check_blocks(KernelCall& call, const Blocks& blocks, std::uint64_t alignment) {
  const auto wrong = [&](std::uint64_t i, const char* words) {
    return refused(call.result, MEMTOOL_WRONG, "block %llu of %llu bytes %s", as_printed(i), as_printed(blocks.size(i)),
                   words);
  };
  for (std::uint64_t i = 0; i < blocks.count(); ++i) {
    // A block smaller than the default alignment may be aligned to the largest power of two not greater than its size.
    const std::uint64_t least =
        alignment > kDefaultAlignment ? alignment : std::min(alignment, std::bit_floor(blocks.size(i)));
    if (reinterpret_cast<std::uintptr_t>(blocks.at(i)) % least != 0)
      return wrong(i, "is not aligned as it was asked for");
    if (blocks.heap().uses_region() && !call.region.contains(blocks.at(i), blocks.size(i)))
      return wrong(i, "lies outside of the region");
    for (std::uint64_t at = 0; at < blocks.size(i); ++at) blocks.at(i)[at] = pattern(i, at);
  }
  for (std::uint64_t i = 0; i < blocks.count(); ++i)
    for (std::uint64_t at = 0; at < blocks.size(i); ++at)
      if (blocks.at(i)[at] != pattern(i, at)) return wrong(i, "has lost what was written to it");
  try {
    blocks.heap().check();
  } catch (const std::exception& problem) {
    return refused(call.result, MEMTOOL_WRONG, "%s", problem.what());
  }
  auto& figures = call.figures<CheckFigures>();
  figures.checks = 1;
  figures.surviving_objects = blocks.count();
  return !call.detected();
}

void account(KernelCall& call, const Image& image, std::uint64_t alignment) {
  Blocks blocks(call, image, alignment);
  auto& figures = call.figures<MemoryFigures>();
  if (!blocks.open()) return;
  const std::uint64_t before = minor_faults();
  if (!blocks.allocate()) return;
  blocks.touch();
  figures.minor_faults = minor_faults() - before;
  const auto known = [](std::uint64_t bytes) { return bytes == kNotApplicable ? 0 : bytes; };
  const HeapStats stats = blocks.heap().stats();
  figures.footprint_bytes =
      blocks.heap().uses_region() ? call.region.used() + stats.metadata_apart_bytes : kNotApplicable;
  figures.free_bytes = known(stats.free_bytes);
  figures.metadata_bytes = known(stats.metadata_bytes);
  figures.blocks = blocks.count();
  for (std::uint64_t i = 0; i < blocks.count(); ++i) {
    const std::uint64_t size = blocks.size(i);
    const Lines lines(blocks.at(i), size);
    figures.asked_bytes += size;
    figures.aligned_bytes += (size + alignment - 1) / alignment * alignment;
    figures.across_lines += lines.last - lines.first >= (size + kLine - 1) / kLine;
    if (i + 1 == blocks.count()) break;
    const Lines next(blocks.at(i + 1), blocks.size(i + 1));
    figures.neighbours += next.first <= lines.last && lines.first <= next.last;
  }
}

}  // namespace memtool::access
