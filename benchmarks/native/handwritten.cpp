// What memtool is compared with: loops over the same events as a C++ programmer would write them by hand.
//
//   handwritten null|pointer|malloc|boost IMAGE PADDING REPLAYS
//
// prints the nanoseconds of each replay's body, one a line; then resident growth in bytes at the peak of live bytes and
// at the end, from a first, cold replay. PADDING bytes are allocated before anything else and kept: where blocks come
// to lie, and so when the C library trims its heap, depends on what was there before, in a worker as in any program.
//
// null hands out one block, compiled into the loop; pointer the same by a table of functions. boost is a boost::pool of
// blocks as large as the image's largest request; exit code 3 where boost was not found.
//
// It shares nothing with the engine but the layout of the event image.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#if __has_include(<boost/pool/pool.hpp>)
#define MEMTOOL_HAS_BOOST 1
#include <boost/pool/pool.hpp>
#endif

#include "engine/events/events.hpp"
#include "rounds.hpp"

namespace {

using namespace memtool;

long anonymous_kib() {
  static char text[4096];
  const int file = open("/proc/self/smaps_rollup", O_RDONLY);
  const ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  text[got > 0 ? got : 0] = '\0';
  const char* line = std::strstr(text, "\nAnonymous:");
  return line == nullptr ? 0 : std::atol(line + std::strlen("\nAnonymous:"));
}

void touch(Touch how, void* block, std::uint64_t size) {
  auto* bytes = static_cast<volatile char*>(block);
  if (how == Touch::first && size > 0) bytes[0] = 1;
  if (how == Touch::pages)
    for (std::uint64_t at = 0; at < size; at += 4096) bytes[at] = 1;
  if (how == Touch::all) {
    std::memset(block, 1, size);
    asm volatile("" ::"r"(block) : "memory");
  }
}

struct Memory {
  void* block;
  void* (*take)(Memory&, std::uint64_t bytes, std::uint64_t alignment);
  void (*give)(Memory&, void* block);
};
void* take_one(Memory& memory, std::uint64_t, std::uint64_t) {
  return memory.block;
}
void give_one(Memory&, void*) {}

template <class Allocate, class Deallocate, class Reallocate>
void replay(const std::uint64_t* at, const std::uint64_t* end, void** slots, Touch how, Allocate allocate,
            Deallocate deallocate, Reallocate reallocate) {
  while (at < end) {
    const std::uint64_t head = *at;
    void** slot = &slots[word::slot(head)];
    if (word::kind(head) == Kind::deallocate) {
      deallocate(*slot);
      at += 1;
      continue;
    }
    if (word::kind(head) == Kind::allocate) {
      *slot = allocate(word::size(head), std::uint64_t{16}, false);
      if (*slot == nullptr) std::abort();
      if (how != Touch::none) touch(how, *slot, word::size(head));
      at += 1;
      continue;
    }
    switch (word::kind(head)) {
      case Kind::allocate_zeroed:
        *slot = allocate(word::size(head), std::uint64_t{16}, true);
        touch(how, *slot, word::size(head));
        at += 1;
        break;
      case Kind::allocate_wide:
        *slot = allocate(word::wide_size(at[1]), word::wide_alignment(at[1]), false);
        touch(how, *slot, word::wide_size(at[1]));
        at += 2;
        break;
      case Kind::deallocate_wide:
        deallocate(*slot);
        at += 2;
        break;
      case Kind::reallocate:
        *slot = reallocate(*slot, word::wide_size(at[1]));
        at += 3;
        break;
      default:
        at += 1;
        break;
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) return 2;
  const bool null = std::strcmp(arguments[1], "null") == 0;
  const bool by_pointer = std::strcmp(arguments[1], "pointer") == 0;
  const bool boost = std::strcmp(arguments[1], "boost") == 0;
#ifndef MEMTOOL_HAS_BOOST
  if (boost) return 3;
#endif
  const int file = open(arguments[2], O_RDONLY);
  struct stat status;
  if (file < 0 || fstat(file, &status) != 0) return 2;
  const auto bytes = static_cast<std::size_t>(status.st_size);
  const void* image = mmap(nullptr, bytes, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
  const auto& head = *static_cast<const ImageHeader*>(image);
  const auto* words = reinterpret_cast<const std::uint64_t*>(static_cast<const char*>(image) + sizeof head);
  void** slots = static_cast<void**>(
      mmap(nullptr, (head.slots + 1) * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
  static char memory_of_a_block[1 << 20];
  char* block = memory_of_a_block;
  asm volatile("" : "+r"(block));  // that it is none the compiler must not know
  if ((null || by_pointer) && head.largest_size > sizeof memory_of_a_block) return 2;
  std::memset(block, 1, sizeof memory_of_a_block);
  const auto how = static_cast<Touch>(head.touch);
  Memory one{block, take_one, give_one};
  Memory* memory = &one;
  asm volatile("" : "+r"(memory));  // what it calls the compiler must not know
#ifdef MEMTOOL_HAS_BOOST
  boost::pool<> pool(static_cast<std::size_t>(head.largest_size));
#endif
  const auto run = [&](const std::uint64_t* from, const std::uint64_t* to) {
    if (null) {
      replay(
          from, to, slots, how, [&](std::uint64_t, std::uint64_t, bool) -> void* { return block; }, [](void*) {},
          [](void* old, std::uint64_t) { return old; });
    } else if (by_pointer) {
      replay(
          from, to, slots, how,
          [&](std::uint64_t size, std::uint64_t alignment, bool) { return memory->take(*memory, size, alignment); },
          [&](void* old) { memory->give(*memory, old); }, [](void* old, std::uint64_t) { return old; });
#ifdef MEMTOOL_HAS_BOOST
    } else if (boost) {
      replay(
          from, to, slots, how, [&](std::uint64_t, std::uint64_t, bool) { return pool.malloc(); },
          [&](void* old) { pool.free(old); }, [](void* old, std::uint64_t) { return old; });
#endif
    } else {
      replay(
          from, to, slots, how,
          [](std::uint64_t size, std::uint64_t alignment, bool zeroed) {
            if (zeroed) return std::calloc(1, size);
            return alignment == 16 ? std::malloc(size)
                                   : std::aligned_alloc(alignment, (size + alignment - 1) & ~(alignment - 1));
          },
          [](void* old) { std::free(old); }, [](void* old, std::uint64_t size) { return std::realloc(old, size); });
    }
  };
  auto* padding = static_cast<char*>(std::malloc(static_cast<std::size_t>(std::atol(arguments[3])) + 1));
  padding[0] = 1;
  const std::uint64_t* peak = words + head.peak_live_word;
  const std::uint64_t* epilogue = words + head.epilogue_word;
  const std::uint64_t* end = words + head.words;
  anonymous_kib();
  const long before = anonymous_kib();
  run(words, peak);
  const long at_peak = anonymous_kib();
  run(peak, epilogue);
  const long at_end = anonymous_kib();
  run(epilogue, end);
  for (int left = std::atoi(arguments[4]); left > 0; --left) {
    const std::uint64_t taken = by_hand::timed(left == 1, [&] { run(words, epilogue); });
    std::printf("%llu\n", static_cast<unsigned long long>(taken));
    run(epilogue, end);
  }
  std::free(padding);
  std::printf("%ld %ld\n", (at_peak - before) * 1024, (at_end - before) * 1024);
}
