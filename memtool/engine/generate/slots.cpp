// Patterns of classic benchmarks that walk over their slots: buffers that keep a part, slots that are refilled in
// strides, and sweeps that resize objects as they pass.
#include <array>
#include <utility>

#include "engine/generate/parts.hpp"

namespace memtool {
namespace {

constexpr std::uint64_t kEmpty = ~std::uint64_t{0};

// The common part of these generators: portions, and the epilogue after the last allocation.
class SlotsGenerator : public Generator {
 public:
  SlotsGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : random_(seed), size_(program + words[0]), allocations_(words[1]) {}

  void next(std::vector<TraceEvent>& events) final {
    while (born_ < allocations_ && events.size() < kPortion) step(events);
    if (born_ < allocations_) return;
    if (!epilogue_.begun()) epilogue_.begin(survivors());
    epilogue_.next(events);
  }

 protected:
  // Emits at least one allocation and the events that belong to it.
  virtual void step(std::vector<TraceEvent>& events) = 0;
  [[nodiscard]] virtual std::vector<Epilogue::Survivor> survivors() const = 0;

  std::uint64_t allocate(std::vector<TraceEvent>& events, std::uint64_t size, unsigned log2_alignment) {
    events.push_back(TraceEvent::make(Kind::allocate, born_, size, log2_alignment));
    return born_++;
  }
  static void free(std::vector<TraceEvent>& events, std::uint64_t& slot, std::uint64_t thread = 0) {
    if (slot != kEmpty) events.push_back(TraceEvent::make(Kind::deallocate, std::exchange(slot, kEmpty), 0, 0, thread));
  }
  static std::vector<Epilogue::Survivor> those_in(const std::vector<std::uint64_t>& slots) {
    std::vector<Epilogue::Survivor> rest;
    for (const std::uint64_t slot : slots)
      if (slot != kEmpty) rest.push_back({slot});
    return rest;
  }

  Random random_;
  Law size_;
  std::uint64_t allocations_;
  std::uint64_t born_ = 0;

 private:
  Epilogue epilogue_;
};

// A buffer of slots is filled from its beginning. When it is full, a part of it is kept, each time the next one. The
// objects before that part are freed in order, those behind it from the end. The next filling skips the part. A
// forgetful buffer overwrites it if it is the first part, and so never frees the objects that were there.
class BufferGenerator final : public SlotsGenerator {
 public:
  BufferGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : SlotsGenerator(program, words, seed),
        slots_(words[2], kEmpty),
        kept_(words[3]),
        forgetful_(words[4] != 0),
        log2_alignment_(static_cast<unsigned>(words[5])),
        keep_begin_(slots_.size()),
        keep_end_(slots_.size()) {}

 private:
  void step(std::vector<TraceEvent>& events) override {
    if (at_ == keep_begin_ && !(forgetful_ && at_ == 0)) at_ = keep_end_;
    if (at_ >= slots_.size()) empty(events);
    if (at_ == keep_begin_ && !(forgetful_ && at_ == 0)) at_ = keep_end_;
    if (slots_[at_] != kEmpty) forgotten_.push_back(slots_[at_]);
    slots_[at_++] = allocate(events, size_.draw(random_), log2_alignment_);
  }

  void empty(std::vector<TraceEvent>& events) {
    keep_begin_ = keep_end_ >= slots_.size() ? 0 : keep_end_;
    keep_end_ = std::min<std::size_t>(keep_begin_ + kept_, slots_.size());
    for (std::size_t i = 0; i < keep_begin_; ++i) free(events, slots_[i]);
    for (std::size_t i = slots_.size(); i > keep_end_; --i) free(events, slots_[i - 1]);
    at_ = 0;
  }

  [[nodiscard]] std::vector<Epilogue::Survivor> survivors() const override {
    std::vector<Epilogue::Survivor> rest = those_in(slots_);
    for (const std::uint64_t object : forgotten_) rest.push_back({object});
    return rest;
  }

  std::vector<std::uint64_t> slots_;
  std::size_t kept_;
  bool forgetful_;
  unsigned log2_alignment_;
  std::size_t keep_begin_;
  std::size_t keep_end_;
  std::size_t at_ = 0;
  std::vector<std::uint64_t> forgotten_;
};

// In each loop some slots are emptied and then some are filled; a full slot is emptied before it is filled. Both walk
// over the slots in strides of their own. In some loops as many objects are made in addition, and every so many loops
// the next thread frees the ones that have accumulated.
class RefillGenerator final : public SlotsGenerator {
 public:
  RefillGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : SlotsGenerator(program, words, seed),
        slots_(words[2], kEmpty),
        emptied_(program + words[3]),
        filled_(program + words[4]),
        hand_every_(words[5]),
        log2_alignment_(static_cast<unsigned>(words[6])),
        wait_(words[7]) {
    const std::size_t first = next_stride(0);
    fill_stride_ = kStrides[first];
    empty_stride_ = kStrides[next_stride(first + 1)];
  }

 private:
  // Primes. The ones that do not divide the number of slots are strides that reach every slot.
  static constexpr std::array<std::size_t, 10> kStrides{7, 11, 13, 17, 19, 23, 29, 31, 37, 41};
  [[nodiscard]] std::size_t next_stride(std::size_t from) const noexcept {
    while (from + 1 < kStrides.size() && slots_.size() % kStrides[from] == 0) ++from;
    return std::min(from, kStrides.size() - 1);
  }

  void step(std::vector<TraceEvent>& events) override {
    for (std::uint64_t i = emptied_.draw(random_); i > 0; --i) {
      free(events, slots_[empty_at_]);
      empty_at_ = (empty_at_ + empty_stride_) % slots_.size();
    }
    const std::uint64_t filled = filled_.draw(random_);
    for (std::uint64_t i = 0; i < filled && born_ < allocations_; ++i) {
      free(events, slots_[fill_at_]);
      slots_[fill_at_] = allocate(events, size_.draw(random_), log2_alignment_);
      fill_at_ = (fill_at_ + fill_stride_) % slots_.size();
    }
    if (hand_every_ == 0) return;
    if (loops_ % hand_every_ == 0)
      for (std::uint64_t i = 0; i < filled && born_ < allocations_; ++i)
        handed_.push_back(allocate(events, size_.draw(random_), log2_alignment_));
    if (++loops_ % wait_ != 0 && born_ < allocations_) return;
    for (std::uint64_t& object : handed_) free(events, object, 1);
    handed_.clear();
  }

  [[nodiscard]] std::vector<Epilogue::Survivor> survivors() const override { return those_in(slots_); }

  std::vector<std::uint64_t> slots_;
  Law emptied_;
  Law filled_;
  std::uint64_t hand_every_;
  unsigned log2_alignment_;
  std::uint64_t wait_;                 // loops until the next thread frees them
  std::vector<std::uint64_t> handed_;  // objects that the next thread will free
  std::size_t fill_stride_ = 1;
  std::size_t empty_stride_ = 1;
  std::size_t fill_at_ = 0;
  std::size_t empty_at_ = 0;
  std::uint64_t loops_ = 0;
};

// After the first objects, each allocation is followed by a sweep over a random stretch of all objects: a small object
// is doubled, and a large one is cut to a quarter. Nothing is freed before the end.
class SweepGenerator final : public SlotsGenerator {
 public:
  SweepGenerator(const std::uint64_t* program, const std::uint64_t* words, std::uint64_t seed)
      : SlotsGenerator(program, words, seed),
        settled_(words[2]),
        largest_(words[3]),
        log2_alignment_(static_cast<unsigned>(words[4])) {}

 private:
  void step(std::vector<TraceEvent>& events) override {
    sizes_.push_back(size_.draw(random_));
    allocate(events, sizes_.back(), log2_alignment_);
    if (born_ <= settled_) return;
    std::uint64_t from = random_.below(born_ - 1);
    std::uint64_t to = random_.below(born_ - 1);
    if (from > to) std::swap(from, to);
    for (std::uint64_t object = from; object <= to; ++object) {
      std::uint64_t& size = sizes_[object];
      size = size > largest_ ? std::max<std::uint64_t>(size / 4, 1) : std::min(2 * size, kLargestSize);
      events.push_back(TraceEvent::make(Kind::reallocate, object, size));
    }
  }

  [[nodiscard]] std::vector<Epilogue::Survivor> survivors() const override {
    std::vector<Epilogue::Survivor> rest;
    for (std::uint64_t object = 0; object < born_; ++object) rest.push_back({object});
    return rest;
  }

  std::uint64_t settled_;
  std::uint64_t largest_;
  unsigned log2_alignment_;
  std::vector<std::uint64_t> sizes_;  // of each object, by its number
};

}  // namespace

MakeGenerator* const make_buffer_generator = made<BufferGenerator>;
MakeGenerator* const make_refill_generator = made<RefillGenerator>;
MakeGenerator* const make_sweep_generator = made<SweepGenerator>;

}  // namespace memtool
