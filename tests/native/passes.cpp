// From a workload's program to the figures of every pass, by the C ABI and in one process: the generator, the image
// builders, the packer, and all passes in all modes that a recipe can be replayed in.
//
//   passes PROGRAM ARRIVALS RECIPE PARAMETERS serial|lockstep|parallel|heap...
//
// PROGRAM and ARRIVALS are files of 64-bit words (engine/generate/generator.hpp, engine/generate/arrivals.hpp). Prints
// a line for each pass: its group, its name, its status, and the operations that it is known to have done or 0.
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

class Image {
 public:
  Image(const Words& program, bool of_threads) : file_(memfd_create("image", 0)) {
    of_threads ? build_for_threads(program) : build(program);
    struct stat found{};
    fstat(file_, &found);
    bytes_ = static_cast<std::size_t>(found.st_size);
    memory_ = mmap(nullptr, bytes_, PROT_READ, MAP_PRIVATE, file_, 0);
    if (memory_ == MAP_FAILED) give_up("the image cannot be mapped");
  }
  ~Image() {
    munmap(memory_, bytes_);
    close(file_);
  }
  Image(const Image&) = delete;
  Image& operator=(const Image&) = delete;

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
    ThreadImageHandle* image = memtool_thread_image_begin(kTouch, file_, message);
    for (auto* feed : {memtool_thread_image_scan, memtool_thread_image_append})
      for_each_portion(program, [&](const TraceEvent* events, std::uint64_t count, char* words) {
        return feed(image, events, count, words);
      });
    ThreadImageHeader head{};
    if (memtool_thread_image_complete(image, &head, message) != MEMTOOL_DONE) give_up(message);
    memtool_thread_image_close(image);
  }

  int file_;
  std::size_t bytes_ = 0;
  void* memory_ = nullptr;
};

struct Pass {
  std::uint32_t number;
  const char* name;
  bool arrivals = false;
};
constexpr Pass kHeap[] = {{MEMTOOL_HEAP, "heap"}};
constexpr Pass kSerial[] = {{MEMTOOL_CHECK, "check"},
                            {MEMTOOL_THROUGHPUT, "throughput"},
                            {MEMTOOL_LATENCY, "latency"},
                            {MEMTOOL_LATENCY, "open loop", true},
                            {MEMTOOL_FOOTPRINT, "footprint"}};
constexpr Pass kThreaded[] = {{MEMTOOL_CHECK, "check"},
                              {MEMTOOL_THROUGHPUT, "throughput"},
                              {MEMTOOL_LATENCY, "latency"},
                              {MEMTOOL_FOOTPRINT, "footprint"}};
struct Group {
  std::string_view name;
  std::uint32_t mode;
  std::span<const Pass> passes;
};
constexpr Group kGroups[] = {{"serial", MEMTOOL_SERIAL, kSerial},
                             {"heap", MEMTOOL_SERIAL, kHeap},
                             {"lockstep", MEMTOOL_LOCKSTEP, kThreaded},
                             {"parallel", MEMTOOL_PARALLEL, kThreaded}};

std::uint64_t operations_of(std::uint32_t pass, const ReplayResult& result, const std::vector<CheckpointRow>& series,
                            const Words& histograms, const std::vector<HeapMap>& maps) {
  if (pass == MEMTOOL_LATENCY) {  // allocate, deallocate and reallocate
    const auto timed = 3 * static_cast<std::ptrdiff_t>(histograms.size() / MEMTOOL_HISTOGRAMS);
    return std::accumulate(histograms.begin(), histograms.begin() + timed, std::uint64_t{0});
  }
  if (pass == MEMTOOL_FOOTPRINT) return series[result.rows - 1].clock;
  if (pass == MEMTOOL_HEAP) return maps[result.maps - 1].clock;
  return 0;
}

void replay(const Image& image, const Group& group, const Pass& pass, const Words& arrivals, const char* recipe,
            const char* parameters) {
  constexpr std::uint32_t kCheckpoints = 300;
  constexpr std::size_t kRegion = std::size_t{256} << 20;
  void* region = mmap(nullptr, kRegion, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) give_up("the region cannot be mapped");
  const std::uint64_t lanes =
      group.mode == MEMTOOL_SERIAL ? 1 : static_cast<const ThreadImageHeader*>(image.memory())->lanes;
  const std::uint64_t buckets = memtool_histogram_buckets();
  Words histograms(MEMTOOL_HISTOGRAMS * buckets);
  Words sizes(2 * MEMTOOL_SIZE_CLASSES * buckets);
  Words of_threads(lanes * histograms.size());
  std::vector<LatencySlice> slices(2 * MEMTOOL_SLICES);
  std::vector<CheckpointRow> series(kCheckpoints + 2);
  std::vector<HeapMap> maps(MEMTOOL_MOST_MAPS);
  std::vector<ThreadRow> rows(lanes);
  std::vector<ThreadPlace> places(lanes);

  ReplayRequest request{};
  request.struct_bytes = sizeof request;
  request.pass = pass.number;
  request.strategy = recipe;
  request.parameters = parameters;
  request.image = image.memory();
  request.image_bytes = image.bytes();
  request.region = region;
  request.region_bytes = kRegion;
  request.warmups = 1;
  request.iterations = 1;
  request.checkpoints = kCheckpoints;
  request.mode = group.mode;
  request.histograms = histograms.data();
  request.series = series.data();
  request.maps = maps.data();
  for (std::uint64_t i = 0; i < MEMTOOL_DRAIN_READINGS; ++i) request.drain_waits_ms[i] = i;
  request.size_histograms = sizes.data();
  request.slices = slices.data();
  for (std::uint64_t i = 0; i < MEMTOOL_SLOW; ++i) request.slow_ticks[i] = 1000 << 3 * i;
  request.arrivals = pass.arrivals ? arrivals.data() : nullptr;
  request.ticks_per_ns = 1;
  request.threads = rows.data();
  request.places = places.data();
  request.thread_histograms = of_threads.data();
  request.thread_histogram_count = static_cast<std::uint32_t>(lanes);
  ReplayResult result{};
  result.struct_bytes = sizeof result;
  memtool_replay(&request, &result);
  munmap(region, kRegion);
  std::printf("%s %s: %s, %llu\n", group.name.data(), pass.name,
              result.status == MEMTOOL_DONE ? "done" : result.message,
              static_cast<unsigned long long>(
                  result.status == MEMTOOL_DONE ? operations_of(pass.number, result, series, histograms, maps) : 0));
}

void pack(const Image& image) {
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
    const Image image(program, group->mode != MEMTOOL_SERIAL);
    for (const Pass& pass : group->passes) replay(image, *group, pass, arrivals, arguments[3], arguments[4]);
    if (wanted == "serial") pack(image);
  }
  return 0;
}
