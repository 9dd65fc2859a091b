// Threads that each increment a counter: in words of one cache line, on lines of their own, or in consecutive blocks of
// an allocator.
#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "engine/instruments/pages.hpp"
#include "engine/passes/check.hpp"
#include "kinds/access/blocks.hpp"
#include "kinds/access/ways.hpp"

namespace memtool::access {
namespace {

constexpr std::uint64_t kApart = 2 * kLine;  // processors fetch lines in pairs

using Counter = std::uint64_t*;

// Like a program's own counter: no other thread writes to it, so no atomic read-modify-write is needed.
[[gnu::noinline]] void count_up(Counter counter, std::uint64_t times) noexcept {
  const std::atomic_ref<std::uint64_t> count(*counter);
  for (std::uint64_t i = 0; i < times; ++i)
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void spin() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// The processors on which this process may run.
std::vector<int> processors() {
  std::vector<int> numbers;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return numbers;
  for (int number = 0; number < CPU_SETSIZE; ++number)
    if (CPU_ISSET(number, &allowed)) numbers.push_back(number);
  return numbers;
}

void pin(pthread_t thread, int number) noexcept {
  cpu_set_t processor;
  CPU_ZERO(&processor);
  CPU_SET(static_cast<std::size_t>(number), &processor);
  pthread_setaffinity_np(thread, sizeof processor, &processor);
}

// Each thread counts on its own processor, and the calling thread is one of them.
class Counting final : public Rounds {
 public:
  Counting(std::vector<Counter> counters, std::uint64_t times) : counters_(std::move(counters)), times_(times) {
    const std::vector<int> numbers = processors();
    if (counters_.size() > 1 && numbers.size() >= counters_.size()) pin(pthread_self(), numbers[0]);
    for (std::size_t i = 1; i < counters_.size(); ++i) {
      helpers_.emplace_back([this, i] { help(counters_[i]); });
      if (numbers.size() >= counters_.size()) pin(helpers_.back().native_handle(), numbers[i]);
    }
  }
  ~Counting() override {
    ends_.store(true, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    for (std::thread& helper : helpers_) helper.join();
  }

  bool body() override {
    finished_.store(0, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    count_up(counters_[0], times_);
    while (finished_.load(std::memory_order_acquire) < helpers_.size()) spin();
    return true;
  }

 private:
  void help(Counter counter) noexcept {
    for (std::uint64_t seen = 0;; ++seen) {
      while (round_.load(std::memory_order_acquire) == seen) spin();
      if (ends_.load(std::memory_order_relaxed)) return;
      count_up(counter, times_);
      finished_.fetch_add(1, std::memory_order_release);
    }
  }

  std::vector<Counter> counters_;
  std::uint64_t times_;
  std::vector<std::thread> helpers_;
  alignas(kApart) std::atomic<std::uint64_t> round_ = 0;
  alignas(kApart) std::atomic<std::uint64_t> finished_ = 0;
  std::atomic<bool> ends_ = false;
};

// Where the counters lie.
enum class Place : std::uint8_t { one_line, apart, as_given };
std::optional<Place> place_of(std::string_view way) noexcept {
  if (way == "count-one-line") return Place::one_line;
  if (way == "count-apart") return Place::apart;
  if (way == "count-as-given") return Place::as_given;
  return std::nullopt;
}

}  // namespace

bool count(KernelCall& call, const Image& image) {
  const std::optional<Place> place = place_of(call.way());
  if (!place.has_value()) return false;
  if (call.pass() == "footprint") {
    if (*place == Place::as_given) account(call, image, image.alignment);
    return true;
  }
  const OwnPages own(image.threads * kApart);
  if (!own.mapped()) return fail(call.result, MEMTOOL_BAD_REQUEST, "no memory for counters"), true;
  std::unique_ptr<Blocks> blocks;
  if (*place == Place::as_given) {
    blocks = std::make_unique<Blocks>(call, image, image.alignment);
    if (!blocks->open() || !blocks->allocate()) return true;
    if (call.pass() == "check" && !check_blocks(call, *blocks, image.alignment)) return true;
  }
  // With several threads, one would count instructions, including those that it executes while it waits for the others.
  const std::uint64_t threads = call.pass() == "counters" ? 1 : image.threads;
  std::vector<Counter> counters;
  for (std::uint64_t i = 0; i < threads; ++i) {
    std::byte* const at = *place == Place::as_given ? blocks->at(i)
                                                    : static_cast<std::byte*>(own.base()) +
                                                          i * (*place == Place::apart ? kApart : sizeof(std::uint64_t));
    counters.push_back(reinterpret_cast<Counter>(at));
    *counters.back() = 0;
  }
  Counting counting(counters, image.accesses);
  if (call.pass() != "check") return (void)run_rounds(call, counting), true;
  (void)counting.body();
  for (const Counter counter : counters)
    if (*counter != image.accesses) fail(call.result, MEMTOOL_WRONG, "a count is lost");
  return true;
}

}  // namespace memtool::access
