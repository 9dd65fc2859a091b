#include "engine/instruments/own_statistics.hpp"

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <malloc.h>

#include <cstddef>
#include <cstring>

#include "allocators/concept/strategy.hpp"

namespace memtool {
namespace {

using Mallctl = int (*)(const char*, void*, std::size_t*, void*, std::size_t);
using TcmallocProperty = int (*)(const char*, std::size_t*);
using MimallocInfo = void (*)(std::size_t*, std::size_t*, std::size_t*, std::size_t*, std::size_t*, std::size_t*,
                              std::size_t*, std::size_t*);
using Mallinfo = struct mallinfo2 (*)();

constexpr OwnFigures kNothing{kNotApplicable, kNotApplicable, kNotApplicable, kNotApplicable};

// Returns the function if it belongs to the library that serves malloc. glibc's mallinfo2 exists whatever library is
// preloaded.
void* of_malloc(const char* symbol) noexcept {
  void* serves = dlsym(RTLD_DEFAULT, "malloc");
  void* function = dlsym(RTLD_DEFAULT, symbol);
  Dl_info malloc_owner, owner;
  if (serves == nullptr || function == nullptr || dladdr(serves, &malloc_owner) == 0 || dladdr(function, &owner) == 0)
    return nullptr;
  return malloc_owner.dli_fbase == owner.dli_fbase ? function : nullptr;
}

template <class Function>
Function as(void* call) noexcept {
  Function function;
  std::memcpy(&function, &call, sizeof function);
  return function;
}

std::uint64_t less(std::uint64_t from, std::uint64_t part) noexcept {
  return from > part ? from - part : 0;
}

OwnFigures of_glibc(Mallinfo call) noexcept {
  const auto info = call();
  return {.in_use_bytes = info.uordblks + info.hblkhd,
          .free_bytes = info.fordblks,
          .metadata_bytes = kNotApplicable,
          .mapped_bytes = info.arena + info.hblkhd};
}

OwnFigures of_jemalloc(Mallctl call) noexcept {
  std::uint64_t epoch = 1;
  std::size_t bytes = sizeof epoch;
  call("epoch", &epoch, &bytes, &epoch, sizeof epoch);  // the figures are as of the last epoch
  const auto read = [&](const char* name) {
    std::size_t value = 0, length = sizeof value;
    return call(name, &value, &length, nullptr, 0) == 0 ? std::uint64_t{value} : kNotApplicable;
  };
  const std::uint64_t allocated = read("stats.allocated"), metadata = read("stats.metadata");
  const std::uint64_t resident = read("stats.resident");
  if (allocated == kNotApplicable || metadata == kNotApplicable || resident == kNotApplicable) return kNothing;
  return {.in_use_bytes = allocated,
          .free_bytes = less(resident, allocated + metadata),
          .metadata_bytes = metadata,
          .mapped_bytes = read("stats.mapped")};
}

OwnFigures of_tcmalloc(TcmallocProperty call) noexcept {
  const auto read = [&](const char* name) {
    std::size_t value = 0;
    return call(name, &value) != 0 ? std::uint64_t{value} : kNotApplicable;
  };
  const std::uint64_t allocated = read("generic.current_allocated_bytes"), heap = read("generic.heap_size");
  const std::uint64_t returned = read("tcmalloc.pageheap_unmapped_bytes");
  const std::uint64_t total = read("generic.total_physical_bytes");
  if (allocated == kNotApplicable || heap == kNotApplicable || returned == kNotApplicable) return kNothing;
  const std::uint64_t held = less(heap, returned);
  return {.in_use_bytes = allocated,
          .free_bytes = less(held, allocated),
          .metadata_bytes = total == kNotApplicable ? kNotApplicable : less(total, held),
          .mapped_bytes = heap};
}

OwnFigures of_mimalloc(MimallocInfo call) noexcept {
  std::size_t skipped[5], commit = 0, peak_commit, faults;
  call(&skipped[0], &skipped[1], &skipped[2], &skipped[3], &skipped[4], &commit, &peak_commit, &faults);
  return {kNotApplicable, kNotApplicable, kNotApplicable, commit};
}

}  // namespace

OwnStatistics::OwnStatistics() noexcept {
  constexpr struct {
    const char* symbol;
    Kind kind;
  } kKnown[] = {{"mallctl", Kind::jemalloc},
                {"MallocExtension_GetNumericProperty", Kind::tcmalloc},
                {"mi_process_info", Kind::mimalloc},
                {"mallinfo2", Kind::glibc}};
  for (const auto& [symbol, kind] : kKnown) {
    call_ = of_malloc(symbol);
    if (call_ == nullptr) continue;
    kind_ = kind;
    break;
  }
  before_ = read_all();
}

OwnFigures OwnStatistics::read() const noexcept {
  const OwnFigures now = read_all();
  const auto grown = [](std::uint64_t after, std::uint64_t before) {
    return after == kNotApplicable || before == kNotApplicable ? kNotApplicable : less(after, before);
  };
  return {.in_use_bytes = grown(now.in_use_bytes, before_.in_use_bytes),
          .free_bytes = grown(now.free_bytes, before_.free_bytes),
          .metadata_bytes = grown(now.metadata_bytes, before_.metadata_bytes),
          .mapped_bytes = grown(now.mapped_bytes, before_.mapped_bytes)};
}

OwnFigures OwnStatistics::read_all() const noexcept {
  switch (kind_) {
    case Kind::glibc:
      return of_glibc(as<Mallinfo>(call_));
    case Kind::jemalloc:
      return of_jemalloc(as<Mallctl>(call_));
    case Kind::tcmalloc:
      return of_tcmalloc(as<TcmallocProperty>(call_));
    case Kind::mimalloc:
      return of_mimalloc(as<MimallocInfo>(call_));
    case Kind::none:
      break;
  }
  return kNothing;
}

}  // namespace memtool
