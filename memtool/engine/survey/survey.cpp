#include "engine/survey/survey.hpp"

#include <algorithm>
#include <bit>
#include <map>

namespace memtool {
namespace {

constexpr std::size_t level_of(std::uint64_t value) noexcept {
  return static_cast<std::size_t>(std::bit_width(value)) - 1;
}

// Keeps the 7 leading bits of a size, which lowers it by less than one percent.
constexpr std::uint64_t rounded(std::uint64_t size) noexcept {
  const int dropped = std::max(0, static_cast<int>(std::bit_width(size)) - 7);
  return size >> dropped << dropped;
}

void put_sum(unsigned __int128 sum, std::uint64_t (&words)[2]) noexcept {
  words[0] = static_cast<std::uint64_t>(sum);
  words[1] = static_cast<std::uint64_t>(sum >> 64);
}

}  // namespace

void Survey::append(const TraceEvent* events, const std::int64_t* nanoseconds, const std::uint64_t* callers,
                    std::size_t count) {
  for (std::size_t i = 0; i < count && !is_over_; ++i) {
    const TraceEvent& event = events[i];
    const std::uint64_t caller = callers == nullptr ? 0 : callers[i];
    switch (event.kind()) {
      case Kind::allocate:
      case Kind::allocate_zeroed:
        allocate(event, caller);
        break;
      case Kind::reallocate:
        reallocate(event, caller);
        break;
      case Kind::deallocate:
        deallocate(event);
        break;
      case Kind::epilogue:
        is_over_ = true;
        return;
      default:
        continue;
    }
    ++threads_[event.thread()].figures.operations;
    ++figures_.operations;
    live_sum_ += live_bytes_;
    figures_.peak_live_bytes = std::max(figures_.peak_live_bytes, live_bytes_);
    if (nanoseconds != nullptr && nanoseconds[i] > 0)
      figures_.nanoseconds = std::max(figures_.nanoseconds, static_cast<std::uint64_t>(nanoseconds[i]));
    if (figures_.operations % step_ == 0) note_point(figures_.nanoseconds);
  }
}

void Survey::allocate(const TraceEvent& event, std::uint64_t caller) {
  end_run_of_frees();
  const std::uint64_t size = event.size();
  if (event.thread() >= threads_.size()) threads_.resize(event.thread() + 1);
  Thread& thread = threads_[event.thread()];
  const std::uint32_t site = site_of(caller);
  objects_.enter(event.object()) = {size, size, 0, site, static_cast<std::uint16_t>(event.thread())};
  figures_.smallest_size = figures_.allocations == 0 ? size : std::min(figures_.smallest_size, size);
  figures_.largest_size = std::max(figures_.largest_size, size);
  ++figures_.allocations;
  figures_.zeroed += event.kind() == Kind::allocate_zeroed;
  ++figures_.alignments[event.log2_alignment()];
  count_size(size);
  allocated_ += size;
  total_ += size;
  live_bytes_ += size;
  figures_.peak_live_objects = std::max(figures_.peak_live_objects, ++live_objects_);
  thread.latest = event.object() + 1;
  ++thread.figures.allocations;
  thread.figures.bytes += size;
  ++sites_[site].allocations;
  sites_[site].bytes += size;
}

void Survey::reallocate(const TraceEvent& event, std::uint64_t caller) {
  end_run_of_frees();
  const std::uint64_t size = event.size();
  if (event.thread() >= threads_.size()) threads_.resize(event.thread() + 1);
  Object& object = objects_.live(event.object());
  figures_.grown += size > object.size;
  figures_.shrunk += size < object.size;
  figures_.smallest_resize = figures_.reallocations == 0 ? size : std::min(figures_.smallest_resize, size);
  figures_.largest_resize = std::max(figures_.largest_resize, size);
  ++figures_.reallocations;
  total_ += size;
  live_bytes_ += size - object.size;
  object.size = size;
  ++object.resizes;
  Thread& thread = threads_[event.thread()];
  thread.latest = 0;
  thread.figures.bytes += size;
  SiteRow& site = sites_[site_of(caller)];
  ++site.allocations;
  site.bytes += size;
}

void Survey::deallocate(const TraceEvent& event) {
  ++run_of_frees_;
  if (event.thread() >= threads_.size()) threads_.resize(event.thread() + 1);
  const Object object = objects_.live(event.object());
  objects_.leave(event.object());
  Thread& thread = threads_[event.thread()];
  ++thread.figures.frees;
  ++figures_.frees;
  const bool is_remote = object.thread != event.thread();
  figures_.remote_frees += is_remote;
  thread.figures.remote_frees += is_remote;
  // Objects are numbered in order of birth. An object that dies before the next allocation has lived for one.
  const std::size_t lifetime = level_of(figures_.allocations - event.object());
  ++figures_.lifetimes[lifetime];
  if (object.first_size > 0) ++figures_.by_lifetime[level_of(object.first_size)][lifetime];
  if (object.resizes > 0) ++chains_[object.resizes];
  if (thread.latest == event.object() + 1) {
    ++figures_.temporary;
    ++sites_[object.site].temporary;
  }
  live_bytes_ -= object.size;
  --live_objects_;
}

void Survey::end_run_of_frees() noexcept {
  if (run_of_frees_ >= kBulk) figures_.bulk_frees += run_of_frees_;
  run_of_frees_ = 0;
}

void Survey::count_size(std::uint64_t size) {
  if (size == 0)
    ++figures_.empty;
  else
    ++figures_.sizes[level_of(size)];
  if (size < kSmallSizes) {
    ++small_sizes_[size];
    return;
  }
  auto known = other_sizes_.find(size);
  if (known == other_sizes_.end()) {
    const bool is_full = other_sizes_.size() >= kMostSizes;
    if (is_full) figures_.has_rounded_sizes = 1;
    known = other_sizes_.try_emplace(is_full ? rounded(size) : size, 0).first;
  }
  ++known->second;
}

std::uint32_t Survey::site_of(std::uint64_t caller) {
  const auto next = static_cast<std::uint32_t>(sites_.size());
  const auto known = site_numbers_.find(caller);
  if (known != site_numbers_.end()) return known->second;
  if (next >= kMostSites) {
    ++figures_.crowded_allocations;
    return site_of(0);
  }
  site_numbers_.emplace(caller, next);
  sites_.push_back({caller, 0, 0, 0, 0, 0});
  // Call sites beyond the limit are counted as unknown. The unknown site has its place from the start.
  if (next == 0 && caller != 0) (void)site_of(0);
  return next;
}

// Keeps up to twice the points while the length is unknown. Whenever there are too many, every second one is dropped.
void Survey::note_point(std::uint64_t nanoseconds) {
  course_.push_back({figures_.operations, live_bytes_, live_objects_, nanoseconds});
  if (course_.size() < kMostPoints) return;
  step_ *= 2;
  for (std::size_t i = 0; i < course_.size() / 2; ++i) course_[i] = course_[2 * i + 1];
  course_.resize(course_.size() / 2);
}

SurveyFigures Survey::figures() const {
  SurveyFigures figures = figures_;
  if (run_of_frees_ >= kBulk) figures.bulk_frees += run_of_frees_;
  put_sum(total_, figures.total_bytes);
  put_sum(allocated_, figures.allocated_bytes);
  put_sum(live_sum_, figures.live_sum);
  figures.threads = static_cast<std::uint64_t>(
      std::ranges::count_if(threads_, [](const Thread& thread) { return thread.figures.operations > 0; }));
  return figures;
}

std::vector<CountRow> Survey::sizes() const {
  std::vector<CountRow> rows;
  for (std::size_t size = 0; size < kSmallSizes; ++size)
    if (small_sizes_[size] > 0) rows.push_back({size, small_sizes_[size]});
  const std::size_t small = rows.size();
  for (const auto& [size, count] : other_sizes_) rows.push_back({size, count});
  std::ranges::sort(rows.begin() + static_cast<std::ptrdiff_t>(small), rows.end(), {}, &CountRow::value);
  return rows;
}

std::vector<CountRow> Survey::chains() const {
  std::map<std::uint64_t, std::uint64_t> all(chains_.begin(), chains_.end());
  objects_.for_each([&](const Object& object) {
    if (object.resizes > 0) ++all[object.resizes];
  });
  std::vector<CountRow> rows;
  for (const auto& [times, objects] : all) rows.push_back({times, objects});
  return rows;
}

std::vector<CourseRow> Survey::course() const {
  std::vector<CourseRow> rows = course_;
  if (figures_.operations > 0 && (rows.empty() || rows.back().operations != figures_.operations))
    rows.push_back({figures_.operations, live_bytes_, live_objects_, figures_.nanoseconds});
  return rows;
}

std::vector<SiteRow> Survey::sites() const {
  std::vector<SiteRow> rows = sites_;
  objects_.for_each([&](const Object& object) {
    ++rows[object.site].left_objects;
    rows[object.site].left_bytes += object.size;
  });
  return rows;
}

std::vector<ThreadFigures> Survey::threads() const {
  std::vector<ThreadFigures> rows;
  for (std::size_t number = 0; number < threads_.size(); ++number) {
    if (threads_[number].figures.operations == 0) continue;
    rows.push_back(threads_[number].figures);
    rows.back().thread = number;
  }
  return rows;
}

}  // namespace memtool
