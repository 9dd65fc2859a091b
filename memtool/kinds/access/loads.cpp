// Loads of 16, 32 and 64 bytes: aligned, across a cache line, across a page.
//
// Each load is from its own page (across a page: two), at the same place in all of them. Lines at the same place of
// their pages share one set of a first-level cache, which holds at least 8 of them. So with 8 pages every way finds all
// its lines in that cache, and only the cost of the load differs. With many more pages the next cache level is
// measured.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "kinds/access/ways.hpp"

namespace memtool::access {
namespace {

// Uses inline assembly, so that loads are neither merged nor removed, and the compiler's target does not change.
template <int kBytes>
[[gnu::always_inline]] inline void load_once(const std::byte* at) noexcept {
#if defined(__x86_64__)
  if constexpr (kBytes == 16) asm volatile("movdqu (%0), %%xmm0" ::"r"(at) : "xmm0", "memory");
  if constexpr (kBytes == 32) asm volatile("vmovdqu (%0), %%ymm0" ::"r"(at) : "xmm0", "memory");
  if constexpr (kBytes == 64) asm volatile("vmovdqu64 (%0), %%zmm0" ::"r"(at) : "xmm0", "memory");
#elif defined(__aarch64__)
  if constexpr (kBytes == 16) asm volatile("ldr q0, [%0]" ::"r"(at) : "v0", "memory");
  if constexpr (kBytes == 32) asm volatile("ldp q0, q1, [%0]" ::"r"(at) : "v0", "v1", "memory");
#endif
}

constexpr std::uint64_t kStep = 2 * kPage;

// Loads one after another, with nothing between them that would take longer than the loads.
template <int kBytes, std::size_t... kIndex>
[[gnu::always_inline]] inline void load_at(const std::byte* at, std::index_sequence<kIndex...>) noexcept {
  (load_once<kBytes>(at + kIndex * kStep), ...);
}

struct Course {
  const std::byte* first;
  std::uint64_t pages;
  std::uint64_t accesses;
};

template <int kBytes>
[[gnu::noinline]] void load_all(const Course& course) noexcept {
  constexpr std::uint64_t kAtOnce = 8;
  for (std::uint64_t left = course.accesses; left > 0;) {
    const std::uint64_t n = std::min(left, course.pages);
    const std::byte* at = course.first;
    std::uint64_t i = 0;
    for (; i + kAtOnce <= n; i += kAtOnce, at += kAtOnce * kStep)
      load_at<kBytes>(at, std::make_index_sequence<kAtOnce>{});
    for (; i < n; ++i, at += kStep) load_at<kBytes>(at, std::make_index_sequence<1>{});
    left -= n;
  }
#if defined(__x86_64__)
  if constexpr (kBytes > 16) asm volatile("vzeroupper" ::: "xmm0", "memory");
#endif
}

struct Way {
  std::string_view name;
  std::uint64_t bytes;
  std::uint64_t offset;  // of the first load, from the beginning of a page
};
constexpr std::uint64_t kMiddle = kPage / 2;
constexpr std::array kWays{
    Way{"load-16-aligned", 16, kMiddle},
    Way{"load-16-unaligned", 16, kMiddle + 8},
    Way{"load-16-line", 16, kMiddle + kLine - 8},
    Way{"load-16-page", 16, kPage - 8},
    Way{"load-32-aligned", 32, kMiddle},
    Way{"load-32-unaligned", 32, kMiddle + 16},
    Way{"load-32-line", 32, kMiddle + kLine - 16},
    Way{"load-32-page", 32, kPage - 16},
    // A load of a whole line that is not aligned crosses a line in any case.
    Way{"load-64-aligned", 64, kMiddle},
    Way{"load-64-line", 64, kMiddle + kLine - 32},
    Way{"load-64-page", 64, kPage - 32},
};

// The widest load of this processor, in bytes. valgrind has no load of 64.
std::uint64_t widest() noexcept {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return 64;
  return __builtin_cpu_supports("avx2") ? 32 : 16;
#else
  return 32;
#endif
}

class Loads final : public Rounds {
 public:
  Loads(const Course& course, std::uint64_t bytes) noexcept : course_(course), bytes_(bytes) {}
  bool body() override {
    if (bytes_ == 16) load_all<16>(course_);
    if (bytes_ == 32) load_all<32>(course_);
#if defined(__x86_64__)
    if (bytes_ == 64) load_all<64>(course_);
#endif
    return true;
  }

 private:
  Course course_;
  std::uint64_t bytes_;
};

}  // namespace

bool load(KernelCall& call, const Image& image) {
  const auto* const way = std::ranges::find(kWays, call.way(), &Way::name);
  if (way == kWays.end()) return false;
  // Under callgrind the instructions of a loop are counted; their number does not depend on the width of the loads.
  const std::uint64_t bytes = call.pass() == "counters" ? std::min(way->bytes, widest()) : way->bytes;
  const std::uint64_t needed = (2 * image.pages + 1) * kPage;
  if (bytes > widest()) {
    fail(call.result, MEMTOOL_BAD_REQUEST, "this processor has no load of %llu bytes", as_printed(way->bytes));
  } else if (needed > call.region.capacity()) {
    fail(call.result, MEMTOOL_BAD_REQUEST, "loads of %llu pages take %llu bytes; the region has %llu",
         as_printed(2 * image.pages), as_printed(needed), as_printed(call.region.capacity()));
  } else {
    std::byte* const base = call.region.base();
    for (std::uint64_t at = 0; at < needed; at += kPage) base[at] = std::byte{1};
    Loads loads({base + way->offset, image.pages, image.accesses}, bytes);
    if (call.pass() == "check") (void)loads.body();
    (void)run_rounds(call, loads);
  }
  return true;
}

}  // namespace memtool::access
