// Random operations on every strategy of the engine, for the sanitizers: sizes from 0 to beyond the region, alignments
// to 2 MiB, exhaustion, reallocation chains, scopes. The blocks are filled, so that a write out of bounds is one the
// sanitizer or a neighbour's contents will tell of.
//
//   stress OPERATIONS SEED [STRATEGY ...]
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <random>
#include <string>

#include "allocators/support/bits.hpp"
#include "engine/registry.hpp"

namespace {

using namespace memtool;

struct Block {
  std::byte* address;
  std::size_t size;
  std::size_t alignment;
  unsigned char fill;
};

class Stress {
 public:
  Stress(const StrategyEntry& entry, std::uint64_t seed) : entry_(entry), random_(seed) {
    memory_ = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    region_ = std::make_unique<Region>(memory_, kCapacity);
    heap_ = entry.open(*region_, Parameters(*entry.info, ""));
    limits_ = entry.limits(Parameters(*entry.info, ""));
  }
  ~Stress() {
    heap_.reset();
    munmap(memory_, kCapacity);
  }
  Stress(const Stress&) = delete;
  Stress& operator=(const Stress&) = delete;

  void run(std::uint64_t operations) {
    for (std::uint64_t i = 0; i < operations; ++i) {
      const std::uint64_t choice = random_() % 100;
      // Grow and shrink in turns, so that the heap is met both nearly full and nearly empty.
      const std::uint64_t share = (i / 4096) % 2 == 0 ? 60 : 40;
      if (choice < share || live_.empty()) {
        allocate();
      } else if (choice < 95) {
        deallocate();
      } else {
        reallocate();
      }
      if (i % 8192 == 8191) heap_->check();
    }
    while (!live_.empty()) deallocate();
    heap_->check();
  }

 private:
  static constexpr std::size_t kCapacity = std::size_t{64} << 20;

  [[noreturn]] void fail(const char* words) {
    std::fprintf(stderr, "%s: %s\n", std::string(entry_.info->name).c_str(), words);
    std::exit(1);
  }

  std::size_t draw_size() {
    const std::uint64_t choice = random_() % 1000;
    std::size_t size = random_() % 256;
    if (choice < 200) size = random_() % 4096;
    if (choice < 20) size = random_() % (256 * 1024);
    if (choice == 0 && entry_.info->uses_region)
      size = std::size_t{1} << (40 + random_() % 21);  // more than there is: must be refused
    return static_cast<std::size_t>(std::min<std::uint64_t>(size, limits_.largest_size));
  }

  std::size_t draw_alignment() {
    if (random_() % 10 != 0) return kDefaultAlignment;
    const std::size_t alignment = std::size_t{1} << (random_() % (random_() % 50 == 0 ? 22 : 9));
    return static_cast<std::size_t>(std::min<std::uint64_t>(alignment, limits_.largest_alignment));
  }

  void place(std::byte* address, std::size_t size, std::size_t alignment) {
    const std::size_t need = alignment == kDefaultAlignment
                                 ? std::min(kDefaultAlignment, std::bit_floor(std::max<std::size_t>(size, 1)))
                                 : alignment;
    if (!bits::is_aligned(address, need)) fail("misaligned block");
    if (entry_.info->uses_region && !region_->contains(address, size)) fail("block outside the region");
    if (heap_->usable_size(address, size) < size) fail("usable size below the size asked for");
    const auto next = by_address_.lower_bound(address);
    if (next != by_address_.end() && next->first < address + std::max<std::size_t>(size, 1))
      fail("overlap with the next block");
    if (next != by_address_.begin() && std::prev(next)->second > address) fail("overlap with the block before");
    by_address_.emplace(address, address + std::max<std::size_t>(size, 1));
    const auto fill = static_cast<unsigned char>(random_());
    std::memset(address, fill, size);
    live_.push_back({address, size, alignment, fill});
  }

  void verify(const Block& block, std::size_t bytes) {
    const auto* at = reinterpret_cast<const unsigned char*>(block.address);
    if (std::any_of(at, at + bytes, [&](unsigned char byte) { return byte != block.fill; })) fail("contents changed");
  }

  void allocate() {
    const std::size_t size = draw_size();
    const std::size_t alignment = draw_alignment();
    void* address = heap_->allocate(size, alignment);
    if (address == nullptr) return;
    place(static_cast<std::byte*>(address), size, alignment);
  }

  // A live block that the strategy can free, or resize.
  Block take(bool to_resize) {
    const FreeOrder order = entry_.info->free_order;
    const bool youngest = order == FreeOrder::lifo || (order == FreeOrder::fifo && to_resize);
    const bool oldest = order == FreeOrder::fifo && !to_resize;
    if (!youngest && !oldest) std::swap(live_[random_() % live_.size()], live_.back());
    const Block block = oldest ? live_.front() : live_.back();
    if (oldest) {
      live_.pop_front();
    } else {
      live_.pop_back();
    }
    by_address_.erase(block.address);
    return block;
  }

  void deallocate() {
    const Block block = take(false);
    verify(block, block.size);
    heap_->deallocate(block.address, block.size, block.alignment);
  }

  void reallocate() {
    const Block block = take(true);
    const std::size_t size = draw_size();
    verify(block, block.size);
    auto* moved = static_cast<std::byte*>(heap_->reallocate(block.address, block.size, size, block.alignment));
    if (moved == nullptr) {
      place(block.address, block.size, block.alignment);
      return;
    }
    verify({moved, size, block.alignment, block.fill}, std::min(size, block.size));
    place(moved, size, block.alignment);
  }

  const StrategyEntry& entry_;
  std::mt19937_64 random_;
  void* memory_;
  std::unique_ptr<Region> region_;
  std::unique_ptr<AnyHeap> heap_;
  Limits limits_;
  std::deque<Block> live_;  // in the order of their birth, where the strategy needs it
  std::map<const std::byte*, const std::byte*> by_address_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const std::uint64_t operations = std::strtoull(arguments[1], nullptr, 10);
  const std::uint64_t seed = std::strtoull(arguments[2], nullptr, 10);
  std::uint64_t done = 0;
  for (const StrategyEntry& entry : strategies()) {
    const bool named = std::find(arguments + 3, arguments + count, entry.info->name) != arguments + count;
    if (entry.info->is_control || (count > 3 && !named)) continue;
    Stress(entry, seed).run(operations);
    done += operations;
    std::printf("%s: %llu operations\n", std::string(entry.info->name).c_str(),
                static_cast<unsigned long long>(operations));
    std::fflush(stdout);
  }
  std::printf("%llu operations without a fault\n", static_cast<unsigned long long>(done));
  return done == 0 ? 1 : 0;
}
