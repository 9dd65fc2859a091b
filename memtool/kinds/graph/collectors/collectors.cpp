#include "kinds/graph/collectors/collectors.hpp"

#include <algorithm>
#include <array>

#include "kinds/graph/collectors/boehm.hpp"
#include "kinds/graph/collectors/generational.hpp"
#include "kinds/graph/collectors/immix.hpp"
#include "kinds/graph/collectors/incremental.hpp"
#include "kinds/graph/collectors/mark_compact.hpp"
#include "kinds/graph/collectors/mark_sweep.hpp"
#include "kinds/graph/collectors/reference_counting.hpp"
#include "kinds/graph/collectors/semispace.hpp"

namespace memtool::graph {
namespace {

// A collector without its barriers, on a heap that is never full. It shows what the program costs without them.
template <class C>
class Unguarded : public PlainRoots<Unguarded<C>> {
 public:
  static constexpr bool kIsExplicit = false;
  Unguarded(C& collector, Object** roots) noexcept : PlainRoots<Unguarded>(roots), collector_(collector) {}
  Object* allocate(std::uint32_t body, std::uint32_t references, std::uint32_t slot) {
    return collector_.allocate(body, references, slot);
  }
  void write(Object* into, std::uint32_t field, Object* value) noexcept { field_of(into, field) = value; }
  void control(Control) noexcept {}

 private:
  C& collector_;
};

template <class C>
class CollectorOf final : public AnyCollector {
 public:
  explicit CollectorOf(Surroundings& in) : in_(in), collector_(in) {}
  Outcome play(const Program& program) override { return graph::play(collector_, program); }
  Outcome play_unguarded(const Program& program) override {
    Unguarded<C> unguarded(collector_, in_.roots.first);
    return graph::play(unguarded, program);
  }
  void audit(const Program& program, Outcome& outcome, Audit& audit) override {
    Audited<C> audited(collector_, in_.roots.first, audit, 0);
    outcome = graph::play(audited, program);
    audited.look();
  }
  void collect() override { collector_.run(); }
  [[nodiscard]] std::uint64_t apart_bytes() const override { return collector_.apart_bytes(); }
  void walk(const Visit& visit) override {
    collector_.walk([&](Object* object) {
      const Header header = C::header(object);
      visit(object, header.bytes(), header.references());
    });
  }

 private:
  Surroundings& in_;
  C collector_;
};

template <class C>
std::unique_ptr<AnyCollector> open(Surroundings& in) {
  return std::make_unique<CollectorOf<C>>(in);
}

constexpr ParameterInfo kHeap{.name = "heap",
                              .summary =
                                  "the size of the heap in bytes, or as a multiple (2x) of the largest reachable size, "
                                  "at least 256 KiB; includes the memory that the collector keeps free",
                              .default_value = kMultiple | 3000,
                              .minimum = 4096,
                              .unit = "heap"};
constexpr ParameterInfo kTrigger{
    .name = "trigger",
    .summary = "number of allocated bytes after which a collection begins; 0: when the heap is full"};
constexpr ParameterInfo kAt{.name = "at",
                            .summary =
                                "where a collection may begin while there is memory: at any allocation, or only "
                                "at the safe points of the program",
                            .maximum = 1,
                            .choices = "allocation|safe-point"};
constexpr ParameterInfo kNursery{.name = "nursery",
                                 .summary = "the size of the nursery in bytes; 0: an eighth of the heap"};

constexpr ParameterInfo kPause{.name = "pause",
                               .summary = "the longest time that an increment may take",
                               .default_value = 1'000'000,
                               .minimum = 1'000,
                               .maximum = 1'000'000'000'000,
                               .unit = "time"};
constexpr ParameterInfo kBarrier{
    .name = "barrier",
    .summary =
        "which reference the barrier marks during marking: the one that is overwritten, or the one that is stored",
    .maximum = 1,
    .choices = "snapshot|dijkstra"};
constexpr ParameterInfo kCycles{.name = "cycles",
                                .summary = "what happens to garbage cycles: they stay, or trial deletion finds them",
                                .maximum = 1,
                                .choices = "leak|trial-deletion"};

constexpr std::array kTracing{kHeap, kTrigger, kAt};
constexpr std::array kHeapAlone{kHeap};
constexpr std::array kWithNursery{kHeap, kTrigger, kAt, kNursery};
constexpr std::array kInIncrements{kHeap, kTrigger, kAt, kPause, kBarrier};
constexpr std::array kCounting{kHeap, kTrigger, kAt, kCycles};

constexpr CollectorEntry kCollectors[] = {
    {{.name = "mark-sweep",
      .summary = "Marks reachable objects in a bitmap, and sweeps a block when an object of its size is allocated.",
      .source =
          "McCarthy, \"Recursive functions of symbolic expressions\", CACM 3(4), 1960; lazy sweeping: Hughes, SPE "
          "12(11), 1982",
      .complexity = "allocate O(1), sometimes a sweep of a block; collect O(live) to mark, O(heap) to sweep",
      .when = "long-lived objects, in a heap not much larger than their size",
      .parameters = kTracing},
     open<MarkSweep>},
    {{.name = "semispace",
      .summary = "Copies reachable objects from one half of the heap to the other; an allocation moves a pointer.",
      .source = "Cheney, \"A nonrecursive list compacting algorithm\", CACM 13(11), 1970",
      .complexity = "allocate O(1); collect O(live)",
      .when = "plenty of memory, and objects of which most die before the heap is full",
      .parameters = kTracing},
     open<Semispace>},
    {{.name = "generational",
      .summary = "A nursery whose survivors are copied to an old space, which is marked and swept; a barrier remembers "
                 "references from old to young.",
      .source = "Ungar, \"Generation scavenging\", SDE 1984; Appel, SPE 19(2), 1989",
      .complexity = "allocate O(1), each store into an object one test; a collection of the nursery O(survivors)",
      .when = "objects of which most die young and some stay",
      .parameters = kWithNursery,
      .has_barriers = true},
     open<Generational>},
    {{.name = "mark-compact",
      .summary = "Marks reachable objects and slides them together; an allocation moves a pointer.",
      .source = "LISP 2 (Knuth, TAOCP 1, 2.5); by bitmap: Kermany and Petrank, \"The Compressor\", PLDI 2006",
      .complexity = "allocate O(1); collect O(live) to mark and to move",
      .when = "scarce memory, and a heap that must not fragment",
      .parameters = kTracing},
     open<MarkCompact>},
    {{.name = "incremental",
      .summary =
          "Marks in increments between which the program runs, then sweeps as mark-sweep does; a barrier marks what "
          "the program changes in between.",
      .source = "Yuasa, JSS 11(3), 1990 (snapshot); Dijkstra, Lamport and others, CACM 21(11), 1978",
      .complexity = "allocate O(1), each store one test; an increment no longer than its budget",
      .when = "short pauses, in a heap with room for the garbage of a marking phase",
      .parameters = kInIncrements,
      .has_barriers = true,
      .is_timed = true},
     open<Incremental>},
    {{.name = "reference-counting",
      .summary = "Counts the references from roots and fields; an object without any is freed at once.",
      .source =
          "Collins, \"A method for overlapping and erasure of lists\", CACM 3(12), 1960; cycles: Bacon and Rajan, "
          "ECOOP 2001",
      .complexity = "each write of a reference changes two counts; a death O(objects that die with it)",
      .when = "few cycles, and memory that must be reclaimed at once",
      .parameters = kCounting,
      .header = 16,
      .has_barriers = true,
      .leaves_cycles = true},
     open<ReferenceCounting<false>>},
    {{.name = "deferred-counting",
      .summary = "Counts the references from fields alone; an object without any waits in a table until the roots are "
                 "scanned.",
      .source = "Deutsch and Bobrow, \"An efficient, incremental, automatic garbage collector\", CACM 19(9), 1976",
      .complexity = "each write to a field changes two counts; a scan of the roots O(roots + table)",
      .when = "the same as reference-counting, if local variables change often",
      .parameters = kCounting,
      .header = 16,
      .has_barriers = true,
      .leaves_cycles = true},
     open<ReferenceCounting<true>>},
    {{.name = "immix",
      .summary =
          "Marks the lines of blocks, allocates through free lines, and moves reachable objects out of the emptiest "
          "blocks.",
      .source = "Blackburn and McKinley, \"Immix: a mark-region garbage collector\", PLDI 2008",
      .complexity = "allocate O(1), sometimes a search for free lines; collect O(live) to mark, O(lines) to sweep",
      .when = "objects of many lifetimes, in a heap that must not fragment",
      .parameters = kTracing},
     open<Immix>},
    {{.name = "boehm",
      .summary =
          "The conservative mark-sweep collector of the system's libgc: whatever looks like a reference counts as one, "
          "on the stack too.",
      .source = "Boehm and Weiser, \"Garbage collection in an uncooperative environment\", SPE 18(9), 1988; libgc 8",
      .complexity = "allocate O(1), sometimes a sweep of a block; collect O(live) to mark",
      .when = "comparison with a collector that we did not write; programs that do not cooperate with a collector",
      .parameters = kHeapAlone,
      .is_timed = true,
      .uses_region = false,
      .soname = kBoehmLibrary,
      .package = "libgc1"},
     open_boehm},
};

}  // namespace

std::span<const CollectorEntry> collectors() noexcept {
  return kCollectors;
}

const CollectorEntry* find_collector(std::string_view name) noexcept {
  const auto name_of = [](const CollectorEntry& entry) { return entry.info.name; };
  const auto entry = std::ranges::find(kCollectors, name, name_of);
  return entry == std::end(kCollectors) ? nullptr : entry;
}

Settings settings_of(const CollectorInfo& info, std::string_view parameters, const Head& head, double ticks_per_ns) {
  const Parameters values(info, parameters);
  const auto value_of = [&](std::string_view name, std::uint64_t default_value) {
    const auto has_name = [&](const ParameterInfo& parameter) { return parameter.name == name; };
    return std::ranges::any_of(info.parameters, has_name) ? values[name] : default_value;
  };
  Settings settings;
  settings.limit = value_of("heap", kMultiple | 3000);
  if ((settings.limit & kMultiple) != 0) {
    const std::uint64_t live = info.header == 8 ? head.peak_live_with_header : head.peak_live_with_count;
    const auto multiple = static_cast<unsigned __int128>(settings.limit & ~kMultiple) * live / 1000;
    settings.limit = std::max(kLeastHeap, static_cast<std::uint64_t>(multiple));
  }
  settings.trigger = value_of("trigger", 0);
  settings.at_safe_points = value_of("at", 0) != 0;
  settings.nursery = value_of("nursery", 0);
  settings.pause_ticks = static_cast<std::uint64_t>(static_cast<double>(value_of("pause", 0)) * ticks_per_ns);
  settings.finds_cycles = value_of("cycles", 0) != 0;
  settings.is_dijkstra = value_of("barrier", 0) != 0;
  return settings;
}

}  // namespace memtool::graph
