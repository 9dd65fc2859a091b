// Programs that a C++ programmer would write, of the same requests as verification/peaks.py gives memtool: their peak
// of resident memory is what memtool's must be. Nothing here is memtool's.
//
//   peaks PATTERN
//
// prints by how many KiB the process grew at most: VmHWM at the end, less VmRSS before the first request and less what
// of files came meanwhile. Each block is written where the workload says touch: all; what is resized, in whole.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <string_view>

namespace {

char text[8192];

long kib(const char* key) {
  const int file = open("/proc/self/status", O_RDONLY);
  const ssize_t got = read(file, text, sizeof text - 1);
  close(file);
  text[got > 0 ? got : 0] = '\0';
  const char* entry = std::strstr(text, key);
  return entry == nullptr ? 0 : std::atol(entry + std::strlen(key));
}

constexpr std::size_t kMost = 1 << 18;
void* blocks[kMost];

void* filled(std::size_t size) {
  void* block = std::malloc(size);
  std::memset(block, 1, size);
  return block;
}

void keep(std::size_t count, std::size_t size) {
  for (std::size_t i = 0; i < count; ++i) blocks[i] = filled(size);
}

// Queue of `live`: each further block takes the place of the oldest.
void queue(std::size_t count, std::size_t live, std::size_t size) {
  for (std::size_t i = 0; i < count; ++i) {
    if (i >= live) std::free(blocks[i % live]);
    blocks[i % live] = filled(size);
  }
}

// Batches that are freed in reverse.
void stack(std::size_t count, std::size_t batch, std::size_t size) {
  for (std::size_t done = 0; done < count; done += batch) {
    for (std::size_t i = 0; i < batch; ++i) blocks[i] = filled(size);
    for (std::size_t i = batch; i-- > 0;) std::free(blocks[i]);
  }
}

// One buffer that grows by a half, `times` times.
void grow(std::size_t size, int times) {
  void* buffer = filled(size);
  for (int i = 0; i < times; ++i) {
    size += size / 2;
    buffer = std::realloc(buffer, size);
    std::memset(buffer, 1, size);
  }
  blocks[0] = buffer;
}

// The same with operator new: what is new is written before what is old is given back, as std::vector::resize() does.
void grow_by_hand(std::size_t size, int times) {
  char* buffer = static_cast<char*>(::operator new(size));
  std::memset(buffer, 1, size);
  for (int i = 0; i < times; ++i) {
    const std::size_t larger = size + size / 2;
    char* fresh = static_cast<char*>(::operator new(larger));
    std::memset(fresh + size, 1, larger - size);
    std::memcpy(fresh, buffer, size);
    ::operator delete(buffer);
    buffer = fresh;
    size = larger;
  }
  blocks[0] = buffer;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const std::string_view pattern = arguments[1];
  std::memset(blocks, 1, sizeof blocks);  // resident before anything is measured
  if (pattern.empty()) std::cout << "";   // a program with the C++ library in it
  kib("VmHWM:");
  const long resident = kib("VmRSS:"), of_files = kib("RssFile:");
  if (pattern == "keep-64x1000") keep(1000, 64);
  if (pattern == "keep-64x4000") keep(4000, 64);
  if (pattern == "keep-24x100000") keep(100000, 24);
  if (pattern == "keep-4000x5000") keep(5000, 4000);
  if (pattern == "keep-300000x100") keep(100, 300000);
  if (pattern == "queue-1000x5000") queue(50000, 5000, 1000);
  if (pattern == "stack-1000x5000") stack(50000, 5000, 1000);
  if (pattern == "grow") grow(65536, 15);
  if (pattern == "grow-by-hand") grow_by_hand(65536, 15);
  const long grown = kib("VmHWM:") - resident - (kib("RssFile:") - of_files);
  std::printf("%ld\n", grown);
  return 0;
}
