#include "kinds/construct/audit.hpp"

#include <cstring>
#include <iterator>

#include "allocators/concept/findings.hpp"

namespace memtool::construct {

void Books::say(std::string words) {
  if (wrong_.empty()) wrong_ = std::move(words);
}

void Books::constructed(const void* object, std::size_t alignment) {
  if (throws_at != 0 && constructions + 1 == throws_at) {
    throws_at = 0;
    throw Thrown();
  }
  ++constructions;
  if (reinterpret_cast<std::uintptr_t>(object) % alignment != 0)
    say(worded("object %llu is constructed at %p, which is not aligned to %zu",
               static_cast<unsigned long long>(constructions), object, alignment));
  if (!live_.insert(object).second)
    say(worded("object %llu is constructed at %p, where another object lives",
               static_cast<unsigned long long>(constructions), object));
}

void Books::destroyed(const void* object) noexcept {
  ++destructions;
  if (live_.erase(object) == 0) say(worded("what is at %p is destroyed, and no object lives there", object));
}

void Books::used(const void* object) {
  if (!live_.contains(object)) say(worded("what is at %p is used, and no object lives there", object));
}

void* Watched::allocate(std::size_t size, std::size_t alignment) {
  constexpr int kFresh = 0xA5;
  auto* block = static_cast<std::byte*>(below().allocate(size, alignment));
  if (block == nullptr) return nullptr;
  ++books_.blocks;
  books_.asked_bytes += size;
  if (reinterpret_cast<std::uintptr_t>(block) % alignment != 0)
    books_.say(worded("a block at %p is not aligned to %zu", static_cast<void*>(block), alignment));
  const auto next = live_.lower_bound(block);
  const bool meets_next = next != live_.end() && block + size > next->first;
  const bool meets_last = next != live_.begin() && std::prev(next)->first + std::prev(next)->second > block;
  if (meets_next || meets_last)
    books_.say(worded("a block of %zu at %p overlaps another", size, static_cast<void*>(block)));
  live_.emplace(block, size);
  std::memset(block, kFresh, size);
  return block;
}

void Watched::deallocate(void* block, std::size_t size, std::size_t alignment) {
  constexpr int kEnded = 0xDD;
  const auto at = live_.find(static_cast<std::byte*>(block));
  if (at == live_.end() || at->second != size) {
    books_.say(worded("a block of %zu at %p is freed, and there is none", size, block));
    return;
  }
  std::memset(block, kEnded, size);
  live_.erase(at);
  below().deallocate(block, size, alignment);
}

bool Watched::mark() {
  if (!below().mark()) return false;
  marked_.push_back(live_);
  return true;
}

bool Watched::release() {
  if (!below().release()) return false;
  live_ = std::move(marked_.back());
  marked_.pop_back();
  return true;
}

}  // namespace memtool::construct
