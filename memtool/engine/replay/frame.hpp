// What every pass needs, on one thread and on several: the image, the heap, and the place for the figures.
#pragma once

#include <sys/mman.h>

#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "allocators/concept/region.hpp"
#include "allocators/concept/strategy.hpp"
#include "engine/abi/capi.h"

namespace memtool {

[[gnu::format(printf, 3, 0)]] inline void fail_as(ReplayResult& result, std::uint32_t status, const char* format,
                                                  va_list arguments) {
  result.status = status;
  std::vsnprintf(result.message, sizeof result.message, format, arguments);
}

[[gnu::format(printf, 3, 4)]] inline void fail(ReplayResult& result, std::uint32_t status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fail_as(result, status, format, arguments);
  va_end(arguments);
}

inline unsigned long long as_printed(std::uint64_t value) noexcept {
  return value;
}

inline std::uint64_t above(std::uint64_t value, std::uint64_t baseline) noexcept {
  return value > baseline ? value - baseline : 0;
}

// The timings of each replay that counts.
struct Timings {
  std::uint64_t iterations;
  std::uint64_t body_ticks[MEMTOOL_MOST_ITERATIONS];
  std::uint64_t epilogue_ticks[MEMTOOL_MOST_ITERATIONS];
  std::uint64_t cpu_ns[MEMTOOL_MOST_ITERATIONS];      // of all threads of the process, before the epilogue
  std::uint64_t wait_ticks[MEMTOOL_MOST_ITERATIONS];  // sum over all threads
  std::uint64_t late_ticks;                           // the largest delay of a paced replay behind the recorded times
};
// One thread of a replay on several threads, in ticks of the last replay.
struct ThreadRow {
  std::uint64_t operations;  // before the epilogue
  std::uint64_t remote_deallocations;
  std::uint64_t body_ticks;  // from its first event to its last one before the epilogue
  std::uint64_t wait_ticks;  // the part of body_ticks spent waiting for objects of other threads
};
// Where the results of a replay that counts are stored. Without timings it does not count. Rows exist only on several
// threads.
struct Kept {
  Timings* timings = nullptr;
  ThreadRow* threads = nullptr;
};

// `Given` is what the heap is constructed from: its parameters, or the recipe of a heap with adaptors.
template <class S, class Given>
struct Frame {
  Frame(const Given& made_of, const ReplayRequest& call, ReplayResult& answer)
      : given(made_of), request(call), result(answer), region(call.region, call.region_bytes, is_shared()) {}

  // The structure of the pass, and a part behind it; nullptr: there is no such part.
  template <class F>
  [[nodiscard]] F& figures() const noexcept {
    return *static_cast<F*>(request.figures);
  }
  template <class T>
  [[nodiscard]] T* part(std::uint64_t offset) const noexcept {
    return offset == 0 ? nullptr : reinterpret_cast<T*>(static_cast<std::byte*>(request.figures) + offset);
  }

  [[nodiscard]] bool is_shared() const noexcept { return (request.region_flags & MEMTOOL_REGION_SHARED) != 0; }
  // Whether the heap takes its memory from the region.
  [[nodiscard]] bool on_region() const {
    if constexpr (Strategy<S>) {
      return uses_region<S>(given);
    } else {
      return given.info().uses_region;
    }
  }

  // Faults in the head of the region, and locks it if the region requires this. These pages count as resident from the
  // start, because they are.
  bool populate() {
    constexpr int kPopulateWrite = 23;  // MADV_POPULATE_WRITE, Linux 5.14; absent from older headers
    if (request.populate_bytes == 0) return true;
    if (madvise(request.region, request.populate_bytes, kPopulateWrite) != 0) {
      fail(result, MEMTOOL_BAD_REQUEST, "the region cannot be populated: %s", std::strerror(errno));
      return false;
    }
    if ((request.region_flags & MEMTOOL_REGION_LOCKED) != 0 && mlock(request.region, request.populate_bytes) != 0) {
      fail(result, MEMTOOL_BAD_REQUEST, "the region cannot be locked: %s", std::strerror(errno));
      return false;
    }
    return true;
  }

  // Whether adaptors have detected misuse. If so, the sample has failed with their message.
  bool detected_in(const S& strategy) {
    if constexpr (Watches<S>) {
      if (strategy.finding().empty()) return false;
      fail(result, MEMTOOL_WRONG, "%s", strategy.finding().c_str());
      return true;
    }
    return false;
  }

  const Given& given;
  const ReplayRequest& request;
  ReplayResult& result;
  Region region;
};

}  // namespace memtool
