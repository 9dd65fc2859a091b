#include "kinds/construct/kernel.hpp"

#include <algorithm>
#include <numeric>
#include <random>
#include <string_view>
#include <vector>

#include "kinds/construct/audit.hpp"
#include "kinds/construct/factory.hpp"
#include "kinds/construct/image.hpp"
#include "kinds/construct/type_table.hpp"
#include "kinds/rounds.hpp"

namespace memtool::construct {
namespace {

template <class T>
struct Plain {
  static constexpr Make kMade = life_of<T>;
};

// Consumes computed values, so that the compiler cannot drop them.
volatile std::uint64_t sink;

// The heap of a row and its objects. begin() creates both anew.
class Stage {
 public:
  Stage(KernelCall& call, std::span<std::byte> place) : call_(call), image_(image_of(call)) {
    const std::uint64_t per_array = per_array_of(image_, call.way());
    order_ = order_of(image_, image_.objects / per_array);
    asked_.way = call.way();
    asked_.setting = {nullptr, place, order_.size(), per_array, order_};
    if (const auto* loops = static_cast<const Loops*>(call.inlined); loops != nullptr && image_.type < kTypes)
      asked_.loops = &loops[image_.type];
    asked_.reopen = [this] {
      heap_.reset();
      heap_ = call_.open();
      return heap_.get();
    };
  }
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // Returns false if the sample has failed.
  bool begin() {
    if (*call_.request.strategy != '\0') asked_.setting.heap = asked_.reopen();
    life_ = image_.type < kTypes ? ForEachType<Plain>::kAll[image_.type](asked_) : life_in_a_block<Tabled>(asked_);
    if (life_ != nullptr) return true;
    return refused(call_.result, MEMTOOL_BAD_REQUEST, "objects of this type are not made in the way %s",
                   call_.request.way);
  }
  bool all_made() {
    if (life_->made() == order_.size()) return true;
    const auto constructed = life_->made();
    call_.result.failed_operation = constructed;
    call_.result.failed_size = image_.size;
    return refused(call_.result, MEMTOOL_OUT_OF_MEMORY, "out of memory at object %llu of %llu",
                   as_printed(constructed + 1), as_printed(order_.size()));
  }
  bool end() {
    life_.reset();
    if (heap_ == nullptr) return true;
    heap_->check();
    heap_.reset();
    return !call_.detected();
  }
  [[nodiscard]] Life& life() const noexcept { return *life_; }
  [[nodiscard]] std::uint64_t rounds() const noexcept { return image_.rounds; }

 private:
  KernelCall& call_;
  const Image& image_;
  std::vector<std::uint32_t> order_;
  Asked asked_{};
  std::unique_ptr<AnyHeap> heap_;
  std::unique_ptr<Life> life_;
};

class Whole final : public Rounds {
 public:
  explicit Whole(Stage& stage) : stage_(stage) {}
  bool before() override { return stage_.begin(); }
  bool body() override {
    Life& life = stage_.life();
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < stage_.rounds(); ++i) {
      life.make();
      if (!stage_.all_made()) return false;
      sum += life.use();
      life.end();
    }
    sink = sum;
    return true;
  }
  bool after() override { return stage_.end(); }

 private:
  Stage& stage_;
};

// Each part of the lives of all objects, timed separately. memtool/kinds/construct/results.py declares the same
// structure.
struct Parts {
  std::uint64_t make;
  std::uint64_t use;
  std::uint64_t end;
  std::uint64_t has_steps;
  std::uint64_t allocate;
  std::uint64_t construct;
  std::uint64_t destroy;
  std::uint64_t deallocate;
};

class Timed {
 public:
  Timed(const KernelCall& call, Stage& stage) : clock_(call.request.use_counter != 0), stage_(stage) {}

  bool run(Parts& parts) {
    if (!stage_.begin()) return false;
    Life& life = stage_.life();
    parts.has_steps = life.has_steps() ? 1 : 0;
    for (std::uint64_t i = 0; i < stage_.rounds(); ++i) {
      parts.make += ticks([&] { life.make(); });
      if (!stage_.all_made()) return false;
      parts.use += ticks([&] { sink = life.use(); });
      parts.end += ticks([&] { life.end(); });
    }
    for (std::uint64_t i = 0; i < stage_.rounds() && life.has_steps(); ++i) {
      parts.allocate += ticks([&] { life.allocate(); });
      if (!stage_.all_made()) return false;
      parts.construct += ticks([&] { life.construct(); });
      sink = life.use();
      parts.destroy += ticks([&] { life.destroy(); });
      parts.deallocate += ticks([&] { life.deallocate(); });
    }
    return stage_.end();
  }

 private:
  template <class Work>
  std::uint64_t ticks(Work work) {
    const std::uint64_t start = clock_.start();
    work();
    return clock_.stop() - start;
  }
  Clock clock_;
  Stage& stage_;
};

// For each part, keeps the fastest of several runs.
void time_parts(KernelCall& call, Stage& stage) {
  auto& least = call.figures<Parts>();
  Timed timed(call, stage);
  for (std::uint32_t i = 0; i < call.request.warmups + call.request.iterations; ++i) {
    Parts parts{};
    if (!timed.run(parts)) return;
    if (i == call.request.warmups) least = parts;
    if (i <= call.request.warmups) continue;
    for (const auto part : {&Parts::make, &Parts::use, &Parts::end, &Parts::allocate, &Parts::construct,
                            &Parts::destroy, &Parts::deallocate})
      least.*part = std::min(least.*part, parts.*part);
  }
}

void run_in(KernelCall& call, std::span<std::byte> place) {
  if (call.pass() == "check" || call.pass() == "footprint") return audit(call, place);
  Stage stage(call, place);
  if (call.pass() == "latency") return time_parts(call, stage);
  Whole whole(stage);
  if (!run_rounds(call, whole)) fail(call.result, MEMTOOL_BAD_REQUEST, "unknown pass %s", call.request.pass);
}

[[gnu::noinline]] void run_on_the_stack(KernelCall& call) {
  alignas(4096) std::byte buffer[kStackBytes];
  run_in(call, buffer);
}

}  // namespace

std::uint64_t per_array_of(const Image& image, std::string_view way) noexcept {
  return way == "array-new" || way == "uninitialized" ? image.per_array : 1;
}

std::vector<std::uint32_t> order_of(const Image& image, std::uint64_t blocks) {
  std::vector<std::uint32_t> order(blocks);
  std::iota(order.begin(), order.end(), 0u);
  if (image.order == kReverse) std::reverse(order.begin(), order.end());
  if (image.order == kRandom) {
    std::mt19937_64 draw(image.seed);
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[draw() % i]);
  }
  return order;
}

void run(KernelCall& call) {
  const Image& image = image_of(call);
  if (call.request.image_bytes < sizeof(Image) || image.objects == 0 || image.per_array == 0)
    return fail(call.result, MEMTOOL_BAD_REQUEST, "no image of objects of this version");
  if (image.type >= kTypes)
    if (const char* wrong = adopt_type(library_of(image)); wrong != nullptr)
      return fail(call.result, MEMTOOL_BAD_REQUEST, "%s: %s", library_of(image), wrong);
  if (call.way() == "stack-buffer") return run_on_the_stack(call);
  run_in(call, {static_cast<std::byte*>(call.request.region), call.request.region_bytes});
}

}  // namespace memtool::construct
