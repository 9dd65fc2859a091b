// Several threads on one heap: each allocates, fills, resizes and frees, and frees what others have allocated. Under
// ThreadSanitizer a heap that is not thread-safe is told of; without it, one that two threads have damaged.
//
//   hammer OPERATIONS SEED RECIPE ...     operations of each of the four threads; recipes as in stress.cpp
#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "engine/registry/recipe.hpp"
#include "engine/registry/registry.hpp"

namespace {

using namespace memtool;

constexpr std::size_t kThreads = 4;
constexpr std::size_t kCapacity = std::size_t{64} << 20;
constexpr std::size_t kMostSize = 48;  // what a pool with its default parameters serves

// A block says in itself how large it is and what it is filled with, so that a pointer is all that changes hands.
struct Block {
  std::uint32_t size;
  unsigned char fill;
};

class Hammer {
 public:
  Hammer(AnyHeap& heap, std::uint64_t operations, std::uint64_t seed) : heap_(heap) {
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < kThreads; ++i) threads.emplace_back([=, this] { run(operations, seed + i); });
    for (std::thread& thread : threads) thread.join();
    for (auto& slot : mailbox_)
      if (Block* block = slot.load(); block != nullptr) release(block);
    heap_.check();
  }

 private:
  void run(std::uint64_t operations, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<Block*> mine;
    for (std::uint64_t i = 0; i < operations; ++i) {
      const std::uint64_t choice = random() % 100;
      if (choice < 45 || mine.empty()) {
        if (Block* fresh = make(sizeof(Block) + random() % (kMostSize - sizeof(Block)), random() % 8 == 0))
          mine.push_back(fresh);
        continue;
      }
      std::swap(mine[random() % mine.size()], mine.back());
      if (choice < 70) {
        release(mine.back());
        mine.pop_back();
      } else if (choice < 75) {
        mine.back() = resized(mine.back(), sizeof(Block) + random() % (kMostSize - sizeof(Block)));
      } else if (choice < 99) {
        // Whoever is there next frees it.
        Block* other = mailbox_[random() % mailbox_.size()].exchange(mine.back());
        mine.pop_back();
        if (other != nullptr) release(other);
      } else {
        (void)heap_.stats();
      }
    }
    for (Block* block : mine) release(block);
  }

  static void fill(Block* block, std::size_t size, unsigned char pattern) {
    *block = {static_cast<std::uint32_t>(size), pattern};
    std::memset(block + 1, pattern, size - sizeof(Block));
  }
  static void verify(const Block* block, std::size_t bytes) {
    const auto* at = reinterpret_cast<const unsigned char*>(block + 1);
    for (std::size_t i = 0; i < bytes - sizeof(Block); ++i) {
      if (at[i] == block->fill) continue;
      std::fputs("contents changed\n", stderr);
      std::exit(1);
    }
  }

  Block* make(std::size_t size, bool zeroed) {
    void* fresh = zeroed ? heap_.allocate_zeroed(size, kDefaultAlignment) : heap_.allocate(size, kDefaultAlignment);
    if (fresh == nullptr) return nullptr;
    auto* block = static_cast<Block*>(fresh);
    fill(block, size, static_cast<unsigned char>(size * 7));
    return block;
  }
  void release(Block* block) {
    verify(block, block->size);
    heap_.deallocate(block, block->size, kDefaultAlignment);
  }
  Block* resized(Block* block, std::size_t size) {
    const std::size_t kept = std::min<std::size_t>(block->size, size);
    auto* moved = static_cast<Block*>(heap_.reallocate(block, block->size, size, kDefaultAlignment));
    if (moved == nullptr) return block;
    verify(moved, kept);
    fill(moved, size, moved->fill);
    return moved;
  }

  AnyHeap& heap_;
  std::array<std::atomic<Block*>, 64> mailbox_{};
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 4) return 2;
  const std::uint64_t operations = std::strtoull(arguments[1], nullptr, 10);
  const std::uint64_t seed = std::strtoull(arguments[2], nullptr, 10);
  for (int i = 3; i < count; ++i) {
    const std::string words = arguments[i];
    const auto colon = words.find(':');
    void* memory = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    try {
      const Recipe recipe(words.substr(0, colon), colon == std::string::npos ? "" : words.substr(colon + 1));
      Region region(memory, kCapacity);
      Findings findings;
      const auto heap = recipe.open(region, findings);
      const Hammer hammer(*heap, operations, seed);
    } catch (const std::exception& problem) {
      std::fprintf(stderr, "%s: %s\n", words.c_str(), problem.what());
      return 1;
    }
    munmap(memory, kCapacity);
  }
  std::printf("%llu operations without a fault\n",
              static_cast<unsigned long long>(operations * kThreads * static_cast<std::uint64_t>(count - 3)));
  return 0;
}
