// Random operations on strategies of the engine and adaptors over them, for the sanitizers and for `make soak`: sizes
// from 0 to beyond the region, alignments to 2 MiB, exhaustion, reallocation chains, scopes. The blocks are filled, so
// that a write out of bounds is one that the sanitizer, an adaptor or a neighbour's contents will tell of.
//
//   stress OPERATIONS SEED [RECIPE ...]     all strategies unless some are named
//
// A recipe is a name with parameters as the engine takes them: pool, pool+redzone:block=512+bytes=16
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
#include "engine/registry/recipe.hpp"
#include "engine/registry/registry.hpp"

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
  Stress(const std::string& words, std::uint64_t seed) : words_(words), recipe_(parse(words)), random_(seed) {
    memory_ = mmap(nullptr, kCapacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    region_ = std::make_unique<Region>(memory_, kCapacity);
    heap_ = recipe_.open(*region_, findings_);
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
      if (heap_->scoped() && random_() % 1000 == 0) scope();
      if (i % 8192 == 8191) heap_->check();
    }
    while (!live_.empty()) deallocate();
    heap_->check();
  }

 private:
  static constexpr std::size_t kCapacity = std::size_t{64} << 20;

  [[noreturn]] void fail(const char* words) {
    std::fprintf(stderr, "%s: %s\n", words_.c_str(), words);
    std::exit(1);
  }

  static Recipe parse(const std::string& words) {
    const auto colon = words.find(':');
    return {words.substr(0, colon), colon == std::string::npos ? "" : std::string_view(words).substr(colon + 1)};
  }

  std::size_t draw_size(std::size_t alignment) {
    const std::uint64_t choice = random_() % 1000;
    std::size_t size = random_() % 256;
    if (choice < 200) size = random_() % 4096;
    if (choice < 20) size = random_() % (256 * 1024);
    if (choice == 0 && info_.uses_region)
      size = std::size_t{1} << (40 + random_() % 21);  // more than there is: must be refused
    return static_cast<std::size_t>(std::min<std::uint64_t>(size, limits(alignment).largest_size));
  }

  std::size_t draw_alignment() {
    if (random_() % 10 != 0) return kDefaultAlignment;
    const std::size_t alignment = std::size_t{1} << (random_() % (random_() % 50 == 0 ? 22 : 9));
    return static_cast<std::size_t>(std::min<std::uint64_t>(alignment, limits(kDefaultAlignment).largest_alignment));
  }

  void place(std::byte* address, std::size_t size, std::size_t alignment) {
    const std::size_t need = alignment == kDefaultAlignment
                                 ? std::min(kDefaultAlignment, std::bit_floor(std::max<std::size_t>(size, 1)))
                                 : alignment;
    if (!bits::is_aligned(address, need)) fail("misaligned block");
    if (info_.uses_region && !region_->contains(address, size)) fail("block outside the region");
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
    const std::size_t alignment = draw_alignment();
    const std::size_t size = draw_size(alignment);
    const bool zeroed = random_() % 16 == 0;
    void* address = zeroed ? heap_->allocate_zeroed(size, alignment) : heap_->allocate(size, alignment);
    if (address == nullptr) {
      if (info_.free_order == FreeOrder::reset && size <= kCapacity / 2 && !in_scope_) renew();
      return;
    }
    const auto* bytes = static_cast<const unsigned char*>(address);
    if (zeroed && std::any_of(bytes, bytes + size, [](unsigned char byte) { return byte != 0; })) fail("no zeroes");
    place(static_cast<std::byte*>(address), size, alignment);
  }

  // A live block that the strategy can free, or resize.
  Block take(bool to_resize) {
    const FreeOrder order = info_.free_order;
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
    const std::size_t size = draw_size(block.alignment);
    verify(block, block.size);
    auto* moved = static_cast<std::byte*>(heap_->reallocate(block.address, block.size, size, block.alignment));
    if (moved == nullptr) {
      place(block.address, block.size, block.alignment);
      return;
    }
    verify({moved, size, block.alignment, block.fill}, std::min(size, block.size));
    place(moved, size, block.alignment);
  }

  // What takes nothing back is full in time, and begins anew.
  void renew() {
    while (!live_.empty()) deallocate();
    heap_->check();
    heap_.reset();
    region_->reset();
    heap_ = recipe_.open(*region_, findings_);
  }

  // A scope that allocates some blocks, which it takes with it.
  void scope() {
    if (!heap_->mark()) fail("a scoped heap does not begin a scope");
    in_scope_ = true;
    const std::size_t before = live_.size();
    for (std::uint64_t i = random_() % 20; i > 0; --i) allocate();
    for (; live_.size() > before; live_.pop_back()) {
      verify(live_.back(), live_.back().size);
      by_address_.erase(live_.back().address);
    }
    if (!heap_->release()) fail("a scope does not end");
    in_scope_ = false;
  }

  // What adaptors add depends on the alignment, and is asked for once for each.
  const Limits& limits(std::size_t alignment) {
    const auto found = limits_.find(alignment);
    return found != limits_.end() ? found->second : limits_.emplace(alignment, recipe_.limits(alignment)).first->second;
  }

  std::string words_;
  Recipe recipe_;
  StrategyInfo info_ = recipe_.info();
  std::mt19937_64 random_;
  void* memory_;
  std::unique_ptr<Region> region_;
  Findings findings_;
  std::unique_ptr<AnyHeap> heap_;
  std::map<std::size_t, Limits> limits_;
  bool in_scope_ = false;
  std::deque<Block> live_;  // in the order of their birth, where the strategy needs it
  std::map<const std::byte*, const std::byte*> by_address_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const std::uint64_t operations = std::strtoull(arguments[1], nullptr, 10);
  const std::uint64_t seed = std::strtoull(arguments[2], nullptr, 10);
  std::vector<std::string> recipes(arguments + 3, arguments + count);
  if (recipes.empty())
    for (const StrategyEntry& entry : strategies())
      if (!entry.info->is_control) recipes.emplace_back(entry.info->name);
  try {
    for (const std::string& recipe : recipes) {
      Stress(recipe, seed).run(operations);
      std::printf("%s: %llu operations\n", recipe.c_str(), static_cast<unsigned long long>(operations));
      std::fflush(stdout);
    }
  } catch (const CannotStand& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 3;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
  }
  std::printf("%llu operations without a fault\n", static_cast<unsigned long long>(operations * recipes.size()));
  return 0;
}
