// From a workload's program to the figures of every pass, by the C ABI and in one process: the generator, the image
// builders, the packer, and all passes in all modes that a recipe can be replayed in.
//
//   passes PROGRAM ARRIVALS RECIPE PARAMETERS serial|lockstep|parallel|heap...
//
// PROGRAM and ARRIVALS are files of 64-bit words (engine/generate/generator.hpp, engine/generate/arrivals.hpp). Prints
// a line for each pass: its group, its name, its status, and the operations that it is known to have done or 0.
#include "engine/passes/passes.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <span>
#include <string_view>
#include <vector>

#include "engine/abi/capi.h"
#include "engine/events/trace_capi.hpp"

namespace {

using namespace memtool;
using Words = std::vector<std::uint64_t>;

[[noreturn]] void give_up(const char* words) {
  std::fprintf(stderr, "%s\n", words);
  std::exit(1);
}

Words words_of(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  Words words(bytes.size() / sizeof(std::uint64_t));
  std::memcpy(words.data(), bytes.data(), words.size() * sizeof(std::uint64_t));
  return words;
}

template <class Feed>
void for_each_portion(const Words& program, Feed feed) {
  char message[400] = "";
  GeneratorHandle* generator = memtool_generator_open(program.data(), program.size(), message);
  if (generator == nullptr) give_up(message);
  const TraceEvent* events = nullptr;
  for (std::uint64_t count = 1; count != 0;) {
    if (memtool_generator_next(generator, &events, &count, message) != MEMTOOL_DONE) give_up(message);
    if (feed(events, count, message) != MEMTOOL_DONE) give_up(message);
  }
  memtool_generator_close(generator);
}

class BuiltImage {
 public:
  BuiltImage(const Words& program, bool of_threads) : file_(memfd_create("image", 0)) {
    of_threads ? build_for_threads(program) : build(program);
    struct stat found{};
    fstat(file_, &found);
    bytes_ = static_cast<std::size_t>(found.st_size);
    memory_ = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file_, 0);
    if (memory_ == MAP_FAILED) give_up("the image cannot be mapped");
  }
  ~BuiltImage() {
    munmap(memory_, bytes_);
    close(file_);
  }
  BuiltImage(const BuiltImage&) = delete;
  BuiltImage& operator=(const BuiltImage&) = delete;

  [[nodiscard]] const void* memory() const { return memory_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  static constexpr auto kTouch = static_cast<std::uint32_t>(Touch::pages);

  void build(const Words& program) const {
    char message[400] = "";
    ImageHandle* image = memtool_image_begin(kTouch, file_, message);
    for_each_portion(program, [&](const TraceEvent* events, std::uint64_t count, char* words) {
      return memtool_image_append(image, events, count, words);
    });
    ImageHeader head{};
    if (memtool_image_complete(image, &head, message) != MEMTOOL_DONE) give_up(message);
    memtool_image_close(image);
  }
  void build_for_threads(const Words& program) const {
    char message[400] = "";
    const int spool = memfd_create("spool", 0);
    ThreadImageHandle* image = memtool_thread_image_begin(kTouch, file_, spool, message);
    for (auto* feed : {memtool_thread_image_scan, memtool_thread_image_append})
      for_each_portion(program, [&](const TraceEvent* events, std::uint64_t count, char* words) {
        return feed(image, events, count, words);
      });
    ThreadImageHeader head{};
    if (memtool_thread_image_complete(image, &head, message) != MEMTOOL_DONE) give_up(message);
    memtool_thread_image_close(image);
    close(spool);
  }

  int file_;
  std::size_t bytes_ = 0;
  void* memory_ = nullptr;
};

struct Wanted {
  const char* pass;
  const char* name;
  bool arrivals = false;
};
constexpr Wanted kHeap[] = {{"heap", "heap"}};
constexpr Wanted kSerial[] = {{"check", "check"},
                              {"throughput", "throughput"},
                              {"latency", "latency"},
                              {"latency", "open loop", true},
                              {"footprint", "footprint"}};
constexpr Wanted kThreaded[] = {
    {"check", "check"}, {"throughput", "throughput"}, {"latency", "latency"}, {"footprint", "footprint"}};
struct Group {
  std::string_view name;
  std::uint32_t mode;
  std::span<const Wanted> passes;
};
constexpr Group kGroups[] = {{"serial", MEMTOOL_SERIAL, kSerial},
                             {"heap", MEMTOOL_SERIAL, kHeap},
                             {"lockstep", MEMTOOL_LOCKSTEP, kThreaded},
                             {"parallel", MEMTOOL_PARALLEL, kThreaded}};

constexpr std::uint32_t kCheckpoints = 300;

// The memory of a pass: its structure, and the parts behind it.
class Memory {
 public:
  template <class F>
  F& begin() {
    words_.assign((sizeof(F) + 7) / 8, 0);
    head_bytes = sizeof(F);
    return as<F>();
  }
  template <class F>
  F& as() {
    return *reinterpret_cast<F*>(words_.data());
  }
  // Returns the part's offset. What as() has returned before is no longer there.
  std::uint64_t add(std::size_t words) {
    words_.resize(words_.size() + words);
    return (words_.size() - words) * 8;
  }
  template <class T>
  T* part(std::uint64_t offset) {
    return reinterpret_cast<T*>(words_.data() + offset / 8);
  }
  std::uint64_t head_bytes = 0;

 private:
  Words words_;
};

void begin_latency(Memory& memory, std::uint64_t lanes, const Words* arrivals) {
  memory.begin<LatencyFigures>();
  const std::uint64_t threads = memory.add(lanes * sizeof(ThreadRow) / 8);
  const std::uint64_t own = memory.add(lanes * MEMTOOL_HISTOGRAMS * Histogram::kBuckets);
  const std::uint64_t program = arrivals == nullptr ? 0 : memory.add(arrivals->size());
  if (arrivals != nullptr) std::ranges::copy(*arrivals, memory.part<std::uint64_t>(program));
  auto& figures = memory.as<LatencyFigures>();
  figures.arrivals = program;
  figures.threads = threads;
  figures.thread_histograms = own;
  figures.thread_histogram_count = lanes;
  for (std::uint64_t i = 0; i < MEMTOOL_SLOW; ++i) figures.slow_ticks[i] = 1000 << 3 * i;
}

void begin(Memory& memory, std::string_view pass, std::uint64_t lanes, const Words* arrivals) {
  if (pass == "check") memory.begin<CheckFigures>();
  if (pass == "throughput") {
    memory.begin<ThroughputFigures>();
    const std::uint64_t threads = memory.add(lanes * sizeof(ThreadRow) / 8);
    memory.as<ThroughputFigures>().threads = threads;
  }
  if (pass == "latency") begin_latency(memory, lanes, arrivals);
  if (pass == "footprint") {
    memory.begin<FootprintFigures>();
    const std::uint64_t series = memory.add((kCheckpoints + 2) * sizeof(CheckpointRow) / 8);
    memory.as<FootprintFigures>().checkpoints = kCheckpoints;
    memory.as<FootprintFigures>().series = series;
  }
  if (pass == "heap") {
    auto& figures = memory.begin<HeapPassFigures>();
    for (std::uint64_t i = 0; i < MEMTOOL_DRAIN_READINGS; ++i) figures.drain_waits_ms[i] = i;
  }
}

std::uint64_t operations_of(Memory& memory, std::string_view pass) {
  if (pass == "latency") {  // allocate, deallocate and reallocate
    const auto& counts = memory.as<LatencyFigures>().histograms;
    return std::accumulate(counts, counts + 3 * Histogram::kBuckets, std::uint64_t{0});
  }
  if (pass == "footprint") {
    const auto& figures = memory.as<FootprintFigures>();
    return memory.part<CheckpointRow>(figures.series)[figures.rows - 1].clock;
  }
  if (pass == "heap") return memory.as<HeapPassFigures>().map[memory.as<HeapPassFigures>().maps - 1].clock;
  return 0;
}

void replay(const BuiltImage& image, const Group& group, const Wanted& wanted, const Words& arrivals,
            const char* recipe, const char* parameters) {
  constexpr std::size_t kRegion = std::size_t{256} << 20;
  void* region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) give_up("the region cannot be mapped");
  const std::uint64_t lanes =
      group.mode == MEMTOOL_SERIAL ? 1 : static_cast<const ThreadImageHeader*>(image.memory())->lanes;
  Memory memory;
  begin(memory, wanted.pass, lanes, wanted.arrivals ? &arrivals : nullptr);
  std::vector<ThreadPlace> places(lanes);

  ReplayRequest request{};
  request.struct_bytes = sizeof request;
  request.kind = "heap";
  request.pass = wanted.pass;
  request.strategy = recipe;
  request.parameters = parameters;
  request.image = image.memory();
  request.image_bytes = image.bytes();
  request.region = region;
  request.region_bytes = kRegion;
  request.warmups = 1;
  request.iterations = 1;
  request.mode = group.mode;
  request.ticks_per_ns = 1;
  request.places = places.data();
  request.figures = memory.part<void>(0);
  request.figures_bytes = memory.head_bytes;
  ReplayResult result{};
  result.struct_bytes = sizeof result;
  memtool_replay(&request, &result);
  munmap(region, kRegion);
  std::printf("%s %s: %s, %llu\n", group.name.data(), wanted.name,
              result.status == MEMTOOL_DONE ? "done" : result.message,
              static_cast<unsigned long long>(result.status == MEMTOOL_DONE ? operations_of(memory, wanted.pass) : 0));
}

void pack(const BuiltImage& image) {
  PackingResult packed{};
  if (memtool_pack_image(image.memory(), 1 << 20, 1'000'000, &packed) != MEMTOOL_DONE) give_up("cannot be packed");
  std::printf("packing: %llu\n", static_cast<unsigned long long>(packed.intervals));
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 6) return 2;
  const Words program = words_of(arguments[1]);
  const Words arrivals = words_of(arguments[2]);
  for (const std::string_view wanted : std::span(arguments, static_cast<std::size_t>(count)).subspan(5)) {
    const auto* group = std::ranges::find(kGroups, wanted, &Group::name);
    if (group == std::end(kGroups)) return 2;
    const BuiltImage image(program, group->mode != MEMTOOL_SERIAL);
    for (const Wanted& wanted_pass : group->passes)
      replay(image, *group, wanted_pass, arrivals, arguments[3], arguments[4]);
    if (wanted == "serial") pack(image);
  }
  return 0;
}
