#include "engine/passes/heap_map.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace memtool {
namespace {

constexpr std::uintptr_t kPage = 4096;
constexpr std::size_t kMostPagesAtOnce = std::size_t{1} << 20;
constexpr std::size_t kTextBytes = std::size_t{8} << 20;
constexpr std::size_t kMostBefore = std::size_t{1} << 16;
// A gap of this many non-resident bytes separates two extents.
constexpr std::uintptr_t kGap = std::uintptr_t{1} << 20;

std::uint64_t overlap(std::uintptr_t begin, std::uintptr_t end, std::uintptr_t low, std::uintptr_t high) noexcept {
  const std::uintptr_t first = std::max(begin, low), last = std::min(end, high);
  return last > first ? last - first : 0;
}

// Chooses the smallest power of two of bytes, at least a page, with which the extents do not need more buckets than
// there are, and numbers the extents' buckets.
void lay_out(HeapMap& map) noexcept {
  for (map.bucket_bytes = kPage;; map.bucket_bytes *= 2) {
    std::uint64_t buckets = 0;
    for (std::uint64_t i = 0; i < map.extents; ++i) {
      map.extent[i].first_bucket = buckets;
      buckets += (map.extent[i].bytes + map.bucket_bytes - 1) / map.bucket_bytes;
    }
    map.buckets = buckets;
    if (buckets <= MEMTOOL_MOST_BUCKETS) break;
  }
  std::memset(map.bucket, 0, map.buckets * sizeof(MapBucket));
}

// Adds [begin, end), which may cover several buckets and exceed the extent, to one figure of the buckets.
void add(HeapMap& map, const MapExtent& extent, std::uintptr_t begin, std::uintptr_t end,
         std::uint64_t MapBucket::* figure) noexcept {
  begin = std::max<std::uintptr_t>(begin, extent.address);
  end = std::min<std::uintptr_t>(end, extent.address + extent.bytes);
  while (begin < end) {
    const std::uint64_t index = (begin - extent.address) / map.bucket_bytes;
    const std::uintptr_t stop = std::min<std::uintptr_t>(end, extent.address + (index + 1) * map.bucket_bytes);
    map.bucket[extent.first_bucket + index].*figure += stop - begin;
    begin = stop;
  }
}

// Adds [begin, end) to all extents that it overlaps.
void add_anywhere(HeapMap& map, std::uintptr_t begin, std::uintptr_t end, std::uint64_t MapBucket::* figure) noexcept {
  const MapExtent* first = map.extent;
  const MapExtent* last = first + map.extents;
  const MapExtent* at = std::upper_bound(
      first, last, begin, [](std::uintptr_t address, const MapExtent& extent) { return address < extent.address; });
  if (at != first) --at;
  for (; at != last && at->address < end; ++at) add(map, *at, begin, end, figure);
}

// Reads lines as they arrive. The kernel returns whole lines, a page of them at a time.
template <class Visit>
void for_each_line(char* text, std::size_t room, Visit visit) {
  const int file = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  std::size_t length = 0;
  for (ssize_t got; length + 1 < room && (got = read(file, text + length, room - length - 1)) > 0;)
    length += static_cast<std::size_t>(got);
  close(file);
  text[length] = '\0';
  for (char* line = text; *line != '\0';) {
    char* end = std::strchr(line, '\n');
    if (end == nullptr) break;
    *end = '\0';
    visit(line);
    line = end + 1;
  }
}

// Whether a line of /proc/self/maps describes anonymous memory that a malloc may have. Sets its addresses.
bool is_anonymous(const char* line, std::uintptr_t& begin, std::uintptr_t& end) noexcept {
  unsigned long long low = 0, high = 0, inode = 0;
  char permissions[5] = "";
  char name[16] = "";
  if (std::sscanf(line, "%llx-%llx %4s %*s %*s %llu %15s", &low, &high, permissions, &inode, name) < 4) return false;
  begin = low;
  end = high;
  const bool stack_or_kernel =
      name[0] == '[' && std::strcmp(name, "[heap]") != 0 && std::strncmp(name, "[anon", 5) != 0;
  return inode == 0 && permissions[0] == 'r' && permissions[1] == 'w' && !stack_or_kernel;
}

}  // namespace

template <class Visit>
void HeapMapper::visit_runs(std::uintptr_t begin, std::uintptr_t end, Visit& visit) const {
  auto* resident = static_cast<unsigned char*>(pages_.base());
  while (begin < end) {
    const std::uintptr_t stop = std::min(end, begin + kMostPagesAtOnce * kPage);
    const std::size_t count = (stop - begin) / kPage;
    if (mincore(reinterpret_cast<void*>(begin), stop - begin, resident) != 0) return;
    for (std::size_t at = 0; at < count;) {
      if ((resident[at] & 1) == 0) {
        ++at;
        continue;
      }
      const std::size_t first = at;
      while (at < count && (resident[at] & 1) != 0) ++at;
      visit(begin + first * kPage, begin + at * kPage);
    }
    begin = stop;
  }
}

template <class Visit>
void HeapMapper::for_each_resident_run(Visit visit) const {
  for_each_line(static_cast<char*>(text_.base()), kTextBytes, [&](const char* line) {
    std::uintptr_t begin = 0, end = 0;
    if (!is_anonymous(line, begin, end)) return;
    // The kernel merges neighbours into one mapping, so memory of the harness may lie in the middle of another's.
    for (std::size_t i = 0; i < ours_count_ && begin < end; ++i) {
      if (ours_[i].end <= begin || ours_[i].begin >= end) continue;
      if (ours_[i].begin > begin) visit_runs(begin, ours_[i].begin, visit);
      begin = std::max(begin, ours_[i].end);
    }
    if (begin < end) visit_runs(begin, end, visit);
  });
}

HeapMapper::HeapMapper(std::span<const AddressRange> ours) noexcept
    : pages_(kMostPagesAtOnce), before_pages_(kMostBefore * sizeof(AddressRange)), text_(kTextBytes) {
  if (!ready()) return;
  for (const OwnPages* own : {&pages_, &before_pages_, &text_}) ours_[ours_count_++] = own->range();
  for (const AddressRange& range : ours)
    if (ours_count_ < kMostOurs) ours_[ours_count_++] = range;
  std::sort(ours_, ours_ + ours_count_, [](const auto& a, const auto& b) { return a.begin < b.begin; });
  auto* runs = static_cast<AddressRange*>(before_pages_.base());
  std::size_t count = 0;
  for_each_resident_run([&](std::uintptr_t begin, std::uintptr_t end) {
    if (count < kMostBefore) runs[count++] = {begin, end};
  });
  before_count_ = count;
}

void HeapMapper::map_region(const Region& region, const std::function<void(const BlockVisitor&)>& walk,
                            const std::function<void(const BlockReport&)>& live, HeapMap& map) const {
  const auto base = reinterpret_cast<std::uintptr_t>(region.base());
  map.extents = 1;
  map.extent[0] = {.address = base, .bytes = region.used(), .first_bucket = 0};
  lay_out(map);
  walk([&](const void* address, std::size_t bytes, BlockState state) {
    if (state == BlockState::used) return;
    const auto begin = reinterpret_cast<std::uintptr_t>(address);
    add(map, map.extent[0], begin, begin + bytes, state == BlockState::free ? &MapBucket::free : &MapBucket::metadata);
  });
  live([&](const void* block, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    add(map, map.extent[0], begin, begin + bytes, &MapBucket::used);
  });
  const std::uintptr_t end = (base + region.used() + kPage - 1) & ~(kPage - 1);
  const auto note = [&](std::uintptr_t low, std::uintptr_t high) {
    add(map, map.extent[0], low, high, &MapBucket::resident);
  };
  visit_runs(base, end, note);
  map.extent[0].address = 0;  // the region's base address carries no information
}

void HeapMapper::map_process(const std::function<void(const BlockReport&)>& live, HeapMap& map) const {
  // Runs that lie near each other form one extent. An extent without new pages since the beginning is not the heap's.
  map.extents = 0;
  std::uint64_t fresh = 0;
  const auto finish = [&] {
    if (map.extents != 0 && fresh == 0) --map.extents;
    fresh = 0;
  };
  const AddressRange* seen = before().data();
  const AddressRange* seen_end = seen + before().size();
  const auto before_in = [&](std::uintptr_t begin, std::uintptr_t end) {
    while (seen != seen_end && seen->end <= begin) ++seen;
    std::uint64_t bytes = 0;
    for (const AddressRange* at = seen; at != seen_end && at->begin < end; ++at)
      bytes += overlap(at->begin, at->end, begin, end);
    return bytes;
  };
  for_each_resident_run([&](std::uintptr_t begin, std::uintptr_t end) {
    MapExtent* last = map.extents == 0 ? nullptr : &map.extent[map.extents - 1];
    if (last == nullptr || begin - (last->address + last->bytes) >= kGap) {
      finish();
      if (map.extents == MEMTOOL_MOST_EXTENTS) {
        map.left_out_bytes += end - begin;
        return;
      }
      map.extent[map.extents++] = {.address = begin, .bytes = end - begin, .first_bucket = 0};
    } else {
      last->bytes = end - last->address;
    }
    fresh += (end - begin) - before_in(begin, end);
  });
  finish();
  lay_out(map);
  for_each_resident_run(
      [&](std::uintptr_t begin, std::uintptr_t end) { add_anywhere(map, begin, end, &MapBucket::resident); });
  for (const AddressRange& run : before()) add_anywhere(map, run.begin, run.end, &MapBucket::before);
  live([&](const void* block, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(block);
    add_anywhere(map, begin, begin + bytes, &MapBucket::used);
  });
}

}  // namespace memtool
