#include "kinds/container/replayed.hpp"

#include <iterator>

namespace memtool::containers {

Way way_of(std::string_view name) {
  constexpr std::string_view kNames[] = {"std", "scoped", "propagated", "pmr"};
  constexpr std::string_view kEach = "-each";
  if (name == "control") return {.is_control = true};
  Way way{.is_each = name.ends_with(kEach)};
  if (way.is_each) name.remove_suffix(kEach.size());
  for (std::size_t i = 0; i < std::size(kNames); ++i)
    if (name == kNames[i]) way.through = static_cast<Through>(i);
  return way;
}

std::uint64_t units_of(const Step& step, const Tally& tally) noexcept {
  const std::uint64_t operations = step.last - step.first;
  if (step.group == static_cast<std::uint64_t>(Action::churn)) return operations / 2;
  return step.group < static_cast<std::uint64_t>(Action::traverse) ? operations : tally.elements;
}

Replayed::Replayed(KernelCall& call)
    : call_(call),
      image_(call.request.image),
      way_(way_of(call.way())),
      clock_(call.request.use_counter != 0),
      regions_(room_of_regions_, image_.head().containers) {
  if (!way_.is_each) return;
  // The regions lie an odd number of pages apart. Otherwise all heaps would begin in the same sets of a cache. A region
  // of only a few pages keeps them all.
  constexpr std::size_t kPage = 4096;
  constexpr std::size_t kFewPages = 16;
  const std::size_t heaps = image_.head().containers;
  const std::size_t pages = call.region.capacity() / heaps / kPage;
  const std::size_t bytes = (pages < kFewPages || pages % 2 != 0 ? pages : pages - 1) * kPage;
  const bool is_shared = (call.request.region_flags & MEMTOOL_REGION_SHARED) != 0;
  for (std::size_t i = 0; i < heaps; ++i) regions_.emplace_back(call.region.base() + i * bytes, bytes, is_shared);
}

std::unique_ptr<AnyHeap> Replayed::heap(Region& region) {
  if (!way_.is_control) return call_.given(region, call_.findings);
  return std::make_unique<Control>(region);
}

void Replayed::open(Book* book) {
  const std::size_t heaps = way_.is_each ? image_.head().containers : 1;
  call_.findings = {};
  heaps_.reserve(heaps);
  for (std::size_t i = 0; i < heaps; ++i) {
    Region& region = way_.is_each ? regions_[i] : call_.region;
    region.reset();
    heaps_.push_back(heap(region));
    if (book != nullptr) heaps_.back() = std::make_unique<Watched>(std::move(heaps_.back()), region, *book);
  }
  script_ = make_script(way_.through, image_.type(), image_.head().containers, heaps_, rooms_);
}

void Replayed::close() noexcept {
  script_.reset();
  heaps_.clear();
}

bool Replayed::finish(Spent& spent) {
  constexpr auto kClose = static_cast<std::size_t>(Group::close);
  spent.units[kClose] = script_->elements();
  const std::uint64_t start = clock_.start();
  script_.reset();
  spent.ticks[kClose] = clock_.stop() - start;
  const bool is_detected = call_.detected();
  heaps_.clear();
  if (is_detected) return false;
  if (sum_ == image_.head().checksum) return true;
  return refused(call_.result, MEMTOOL_WRONG, "the values read from the containers sum up to %llu, not to %llu",
                 as_printed(sum_), as_printed(image_.head().checksum));
}

}  // namespace memtool::containers
