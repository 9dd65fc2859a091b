#include "kinds/file/kernel.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string_view>

#include "kinds/file/bus.hpp"
#include "kinds/file/calls.hpp"
#include "kinds/file/control_group.hpp"
#include "kinds/file/mapping.hpp"
#include "kinds/file/observers.hpp"
#include "kinds/file/ring.hpp"
#include "kinds/file/surroundings.hpp"
#include "kinds/rounds.hpp"

namespace memtool::file {
namespace {

constexpr std::uint64_t kFloorReadings = 10'000;

// A round: all accesses of the workload in one way, from the program's steps before the first access to those after the
// last.
template <class Way>
class Course final : public Rounds {
 public:
  Course(const Asked& asked, Way& way) noexcept : asked_(asked), way_(way), draw_(asked.image.seed) {}

  bool before() override { return asked_.file.prepare(); }
  bool body() override {
    Plain observer;
    return run(observer, [] {});
  }

  // Calls `look` after the last access has completed, while the way is still open.
  template <class Observer, class Look>
  bool run(Observer& observer, Look look) {
    bool done = false;
    if (guard_.ran([&] { done = all(observer, look); })) return done;
    return refused(
        asked_.call.result, MEMTOOL_BAD_REQUEST,
        "SIGBUS at address %#llx: behind the mapping there is nothing any more (the file was truncated, its disk is "
        "full, or its device is gone)",
        as_printed(BusGuard::address()));
  }

 private:
  // Nothing in it may need destruction, because it can be left at any access.
  template <class Observer, class Look>
  bool all(Observer& observer, Look& look) {
    const Image& image = asked_.image;
    const bool random = image.pattern == Pattern::random_read || image.pattern == Pattern::random_write;
    const std::uint64_t blocks = image.bytes / image.block;
    if (!way_.begin()) return false;
    std::uint64_t left = image.every;
    for (std::uint64_t i = 0; i < image.accesses; ++i) {
      if (!way_.access((random ? draw_.below(blocks) : i) * image.block, observer)) return false;
      if (image.sync == Sync::none || --left > 0) continue;
      left = image.every;
      if (!way_.drained(observer)) return false;
      const std::uint64_t start = observer.begin();
      if (!way_.sync()) return false;
      observer.synced(start);
    }
    if (!way_.drained(observer)) return false;
    look();
    return way_.finish();
  }

  Asked asked_;
  Way& way_;
  Draw draw_;  // continues: a round must not find what the previous round read in a limited cache
  BusGuard guard_;
};

// Whether data written through a mapping of this way reaches the file.
template <class Way>
bool keeps_to_itself(std::string_view way) noexcept {
  return std::is_same_v<Way, Mapping> && way == "mmap-private";
}

template <class Way>
void check(const Asked& asked, Course<Way>& course) {
  const Image& image = asked.image;
  const bool zero = image.kind == Kind::device && std::string_view(image.device) == kZero;
  Checking observer(image.seed, image.bytes, image.block, zero, image.kind == Kind::device && !zero);
  auto& result = asked.call.result;
  if (!observer.ready()) return fail(result, MEMTOOL_BAD_REQUEST, "no memory for a table of blocks");
  if (image.pattern == Pattern::random_write && image.kind != Kind::device && !asked.file.refill()) return;
  if (!course.before() || !course.run(observer, [] {})) return;
  auto& figures = asked.call.figures<Checked>();
  if (image.writes() && image.kind != Kind::device) {
    const bool kept = keeps_to_itself<Way>(asked.call.way());
    const Buffer buffer(image.block, image.seed);
    for (std::uint64_t at = 0; at < image.bytes; at += image.block) {
      const std::int64_t done = in_calls(image.block, 0, [&](std::uint64_t from) {
        return pread(asked.file.number(), buffer.data() + from, image.block - from, static_cast<off_t>(at + from));
      });
      if (done != static_cast<std::int64_t>(image.block)) return void(refuse(asked, "reading back", at, done));
      observer.verify_end(at, buffer.data(), image.block, kept);
    }
    if (image.pattern == Pattern::append && lseek(asked.file.number(), 0, SEEK_END) != static_cast<off_t>(image.bytes))
      return fail(result, MEMTOOL_WRONG, "the file has not the length of what was appended to it");
  }
  if (observer.wrong() != Checking::kNone)
    return fail(result, MEMTOOL_WRONG, "the block at byte %llu is not what it must be", as_printed(observer.wrong()));
  figures.blocks = observer.blocks();
  figures.bytes = image.bytes;
}

template <class Way>
void time_each(const Asked& asked, Course<Way>& course) {
  const ReplayRequest& request = asked.call.request;
  auto& figures = asked.call.figures<Latencies>();
  const Clock clock(request.use_counter != 0);
  Histogram access(figures.access);
  Histogram sync(figures.sync);
  Histogram floor(figures.floor);
  const auto nothing = [] {};
  for (std::uint32_t i = 0; i < request.warmups; ++i)
    if (!run_round(course, nothing, nothing)) return;
  for (std::uint64_t i = 0; i < kFloorReadings; ++i) {
    const std::uint64_t start = clock.start();
    floor.record(clock.stop() - start);
  }
  for (std::uint32_t i = 0; i < request.iterations; ++i) {
    Timed observer(clock, access, sync);
    if (!course.before() || !course.run(observer, nothing)) return;
  }
  figures.access_maximum = access.maximum();
  figures.sync_maximum = sync.maximum();
  figures.floor_maximum = floor.maximum();
}

template <class Way>
void account(const Asked& asked, Way& way, Course<Way>& course) {
  auto& figures = asked.call.figures<Memory>();
  if (!course.before()) return;
  // Faults in the harness's own code and data.
  (void)look_around();
  figures.cached_before = asked.file.cached_bytes();
  const Surroundings before = look_around();
  Surroundings after;
  Plain observer;
  const bool done = course.run(observer, [&] {
    after = look_around();
    way.look(figures);
  });
  if (!done) return;
  figures.dirty = asked.file.dirty_bytes();
  figures.cached_after = asked.file.cached_bytes();
  const auto since = [](std::uint64_t then, std::uint64_t now) {
    return then == kNotApplicable || now == kNotApplicable ? kNotApplicable : above(now, then);
  };
  figures.minor_faults = after.minor_faults - before.minor_faults;
  figures.major_faults = after.major_faults - before.major_faults;
  if (figures.resident != kNotApplicable) figures.huge = since(before.huge, after.huge);
  figures.read = since(before.read, after.read);
  figures.shootdowns = since(before.shootdowns, after.shootdowns);
}

template <class Way>
void measure(const Asked& asked, Way&& way) {
  if (!way.open()) return;
  Course course(asked, way);
  if (asked.call.pass() == "check") return check(asked, course);
  if (asked.call.pass() == "latency") return time_each(asked, course);
  if (asked.call.pass() == "footprint") return account(asked, way, course);
  (void)run_rounds(asked.call, course);
}

constexpr int kHuge = 14;  // MADV_HUGEPAGE; absent from older headers
struct Mapped {
  std::string_view name;
  Mapping::Style style;
};
constexpr std::array kMapped{
    Mapped{"mmap-shared", {MAP_SHARED, 0, false}},
    Mapped{"mmap-private", {MAP_PRIVATE, 0, false}},
    Mapped{"mmap-populate", {MAP_SHARED | MAP_POPULATE, 0, false}},
    Mapped{"mmap-sequential", {MAP_SHARED, MADV_SEQUENTIAL, false}},
    Mapped{"mmap-random", {MAP_SHARED, MADV_RANDOM, false}},
    Mapped{"mmap-willneed", {MAP_SHARED, MADV_WILLNEED, false}},
    Mapped{"mmap-huge", {MAP_SHARED, kHuge, false}},
    Mapped{"mmap-dontneed", {MAP_SHARED, 0, true}},
};
struct Called {
  std::string_view name;
  void (*measure)(const Asked&);
};
template <Calling kCalling, bool kDirect>
void by_call(const Asked& asked) {
  measure(asked, Calls<kCalling>(asked, kDirect));
}
template <bool kDirect>
void by_ring(const Asked& asked) {
  measure(asked, ByRing(asked, kDirect));
}
constexpr std::array kCalled{
    Called{"read", by_call<Calling::sequential, false>},
    Called{"pread", by_call<Calling::positioned, false>},
    Called{"preadv2", by_call<Calling::without_waiting, false>},
    Called{"pread-direct", by_call<Calling::positioned, true>},
    Called{"uring-read", by_ring<false>},
    Called{"uring-read-direct", by_ring<true>},
    Called{"write", by_call<Calling::sequential, false>},
    Called{"pwrite", by_call<Calling::positioned, false>},
    Called{"pwritev2-dsync", by_call<Calling::durable, false>},
    Called{"pwrite-direct", by_call<Calling::positioned, true>},
    Called{"uring-write", by_ring<false>},
    Called{"uring-write-direct", by_ring<true>},
};

}  // namespace

void run(KernelCall& call) {
  const ReplayRequest& request = call.request;
  const Image& image = *static_cast<const Image*>(request.image);
  if (request.image_bytes != sizeof(Image) || image.magic != Image::kMagic)
    return fail(call.result, MEMTOOL_BAD_REQUEST, "not a workload of files of this version");
  const auto* const mapped = std::ranges::find(kMapped, call.way(), &Mapped::name);
  const auto* const called = std::ranges::find(kCalled, call.way(), &Called::name);
  if (mapped == kMapped.end() && called == kCalled.end())
    return fail(call.result, MEMTOOL_BAD_REQUEST, "unknown way to a file %s", request.way);
  DataFile file(call, image);
  ControlGroup group;
  if (!file.open()) return;
  if (image.cache == Cache::limited &&
      !(file.drop() && group.enter(call, image.group, image.home, image.limit) && file.read_through()))
    return;
  const Asked asked{call, image, file};
  if (mapped != kMapped.end()) return measure(asked, Mapping(asked, mapped->style));
  called->measure(asked);
}

}  // namespace memtool::file
