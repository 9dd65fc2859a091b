// An allocator that is not part of the engine but adopted at run time: a library with the C ABI of memtool.h, or a
// class in Python behind the same table of functions. A process adopts at most one, which becomes the strategy
// "adopted".
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>
#include <vector>

#include "allocators/concept/strategy.hpp"
#include "allocators/concept/touch.hpp"
#include "include/memtool.h"

namespace memtool {

inline constexpr std::string_view kAdoptedName = "adopted";

// The adopted allocator. adopt() (adopted.cpp) verifies it and fills this in.
struct Adopted {
  memtool_allocator table{};  // members that the library does not know are null
  std::vector<ParameterInfo> parameters;
  StrategyInfo info{};
};
Adopted& adopted();

class AdoptedHeap {
 public:
  static const StrategyInfo& info;

  AdoptedHeap(Region& region, const Parameters& parameters) : table_(adopted().table), region_(region) {
    const std::vector<std::uint64_t> values = values_of(parameters);
    std::array<char, MEMTOOL_MESSAGE_BYTES> message{};
    heap_ = table_.create(&region_, values.data(), message.data());
    message.back() = '\0';
    if (heap_ == nullptr) throw std::invalid_argument(message[0] != '\0' ? message.data() : "create() gave no heap");
  }
  ~AdoptedHeap() { table_.destroy(heap_); }
  AdoptedHeap(const AdoptedHeap&) = delete;
  AdoptedHeap& operator=(const AdoptedHeap&) = delete;

  static Limits limits(const Parameters& parameters) {
    Limits limits;
    if (adopted().table.limits != nullptr)
      adopted().table.limits(values_of(parameters).data(), &limits.largest_size, &limits.largest_alignment);
    return limits;
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept { return table_.allocate(heap_, size, alignment); }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    table_.deallocate(heap_, block, size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept {
    if (table_.allocate_zeroed != nullptr) return table_.allocate_zeroed(heap_, size, alignment);
    void* block = allocate(size, alignment);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    if (table_.reallocate != nullptr) return table_.reallocate(heap_, block, old_size, new_size, alignment);
    void* fresh = allocate(new_size, alignment);
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, std::min(old_size, new_size));
    if (new_size > rear_) touch_grown(touch_, fresh, old_size, new_size - rear_);
    deallocate(block, old_size, alignment);
    return fresh;
  }
  // See AnyHeap.
  void write_when_moved(Touch touch, std::size_t rear) noexcept {
    touch_ = touch;
    rear_ = rear;
  }

  std::size_t usable_size(const void* block, std::size_t size) const noexcept {
    return table_.usable_size != nullptr ? table_.usable_size(heap_, block, size) : size;
  }
  HeapStats stats() const noexcept {
    constexpr std::uint64_t kNone = MEMTOOL_NO_FIGURE;
    memtool_stats figures{kNone, kNone, kNone, kNone, kNone, kNone, 0};
    if (table_.stats != nullptr) table_.stats(heap_, &figures);
    return {.granted = figures.granted,
            .free_bytes = figures.free_bytes,
            .largest_free = figures.largest_free,
            .free_blocks = figures.free_blocks,
            .used_blocks = figures.used_blocks,
            .metadata_bytes = figures.metadata_bytes,
            .metadata_apart_bytes = figures.metadata_apart_bytes};
  }
  void walk(const BlockVisitor& visit) const {
    if (table_.walk == nullptr) return;
    const auto call = [](const void* address, std::uint64_t bytes, std::uint32_t state, void* context) {
      (*static_cast<const BlockVisitor*>(context))(address, bytes, static_cast<BlockState>(std::min(state, 2u)));
    };
    table_.walk(heap_, call, const_cast<BlockVisitor*>(&visit));
  }
  void check() const {
    std::array<char, MEMTOOL_MESSAGE_BYTES> message{};
    if (table_.check == nullptr || table_.check(heap_, message.data()) == 0) return;
    message.back() = '\0';
    throw BrokenInvariant(message.data());
  }

 protected:
  const memtool_allocator table_;
  Touch touch_ = Touch::none;
  std::size_t rear_ = 0;
  void* heap_ = nullptr;

 private:
  // The region in the form of memtool.h.
  struct RegionView : memtool_region {
    explicit RegionView(Region& of) noexcept
        : memtool_region{.base = of.base(),
                         .capacity = of.capacity(),
                         .grow = [](memtool_region* self, std::size_t bytes) { return region_of(self).grow(bytes); },
                         .shrink = [](memtool_region* self, std::size_t bytes) { region_of(self).shrink(bytes); }},
          region(of) {}
    static Region& region_of(memtool_region* self) noexcept { return static_cast<RegionView*>(self)->region; }
    Region& region;
  };

  static std::vector<std::uint64_t> values_of(const Parameters& parameters) {
    std::vector<std::uint64_t> values;
    for (const ParameterInfo& info : adopted().parameters) values.push_back(parameters[info.name]);
    return values;
  }

  RegionView region_;
};

// An adopted heap with scopes. Only the table tells at run time whether there are any, but to the replay loop it is a
// property of the type.
class ScopedAdoptedHeap : public AdoptedHeap {
 public:
  using AdoptedHeap::AdoptedHeap;
  using Marker = std::uint64_t;
  Marker mark() noexcept { return table_.mark(heap_); }
  void release(const Marker& marker) noexcept { table_.release(heap_, marker); }
};

}  // namespace memtool
