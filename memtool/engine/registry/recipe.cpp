// The replay of strategies with adaptors over them.
#include "engine/registry/recipe.hpp"

#include <algorithm>

#include "allocators/adaptors.hpp"
#include "engine/registry/entry.hpp"

namespace memtool {
namespace {

// Numbers the program's operations. It wraps the topmost adaptor that reports them, so that a lock above covers the
// numbering too.
class Numbered final : public Layer {
 public:
  Numbered(std::unique_ptr<AnyHeap> below, Findings& findings) noexcept
      : Layer(std::move(below)), findings_(findings) {}

  void* allocate(std::size_t size, std::size_t alignment) override {
    findings_.begin_operation();
    return below().allocate(size, alignment);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) override {
    findings_.begin_operation();
    return below().allocate_zeroed(size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) override {
    findings_.begin_operation();
    below().deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) override {
    findings_.begin_operation();
    return below().reallocate(block, old_size, new_size, alignment);
  }
  bool release() override {
    const bool released = below().release();
    findings_.end_scope();
    return released;
  }
  // A finding is permanent: every later check fails too.
  void check() const override {
    if (findings_.first().empty()) below().check();
    if (!findings_.first().empty()) throw Detected(findings_.first());
  }

 private:
  Findings& findings_;
};

// A recipe in the form that the replay needs. `Outermost` is the last adaptor of the recipe if that one is compiled
// into the replay loop, otherwise AnyHeap.
template <class Outermost>
class Adapted {
 public:
  struct Marker {};

  Adapted(Region& region, const Recipe& recipe)
      : info(recipe.info()), heap_(recipe.open_for_replay(region, findings_)), top_(static_cast<Outermost&>(*heap_)) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept { return top_.allocate(size, alignment); }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept {
    return top_.allocate_zeroed(size, alignment);
  }
  void deallocate(void* block, std::size_t size, std::size_t alignment) noexcept {
    top_.deallocate(block, size, alignment);
  }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    return top_.reallocate(block, old_size, new_size, alignment);
  }
  void write_when_moved(Touch touch, std::size_t rear) noexcept { top_.write_when_moved(touch, rear); }
  Marker mark() noexcept {
    top_.mark();
    return {};
  }
  void release(Marker) noexcept { top_.release(); }
  [[nodiscard]] bool scoped() const noexcept { return top_.scoped(); }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const noexcept {
    return top_.usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const noexcept { return top_.stats(); }
  void walk(const BlockVisitor& visit) const { top_.walk(visit); }
  void check() const { top_.check(); }
  [[nodiscard]] std::string report() const {
    std::string json;
    top_.report(json);
    return json;
  }
  [[nodiscard]] const std::string& finding() const noexcept { return findings_.first(); }

  const StrategyInfo info;

 private:
  Findings findings_;
  std::unique_ptr<AnyHeap, EndOfHeap> heap_;
  Outermost& top_;
};

// A recipe with the interface of a malloc, in the form that the replay needs: a table of functions, and the untimed
// rest.
class CalledAsMalloc {
 public:
  CalledAsMalloc(Region& region, const Recipe& recipe)
      : info(recipe.info()), heap_(recipe.open_as_malloc(region, findings_)), calls_(heap_->calls()) {}

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    return alignment <= kDefaultAlignment ? calls_.allocate(size) : calls_.allocate_aligned(alignment, size);
  }
  void* allocate_zeroed(std::size_t size, std::size_t alignment) noexcept {
    if (alignment <= kDefaultAlignment) return calls_.allocate_zeroed(1, size);
    void* block = calls_.allocate_aligned(alignment, size);
    if (block != nullptr) std::memset(block, 0, size);
    return block;
  }
  void deallocate(void* block, std::size_t, std::size_t) noexcept { calls_.deallocate(block); }
  void* reallocate(void* block, std::size_t old_size, std::size_t new_size, std::size_t alignment) noexcept {
    // In glibc realloc(p, 0) frees the block. Here it resizes to the smallest block.
    if (alignment <= kDefaultAlignment || heap_->resizes_aligned())
      return calls_.reallocate(block, new_size + (new_size == 0));
    void* fresh = calls_.allocate_aligned(alignment, new_size);  // realloc would not keep the alignment
    if (fresh == nullptr) return nullptr;
    std::memcpy(fresh, block, std::min(old_size, new_size));
    touch_grown(touch_, fresh, old_size, new_size);
    calls_.deallocate(block);
    return fresh;
  }
  // See AnyHeap. The inside of realloc() is the malloc's own affair.
  void write_when_moved(Touch touch, std::size_t) noexcept { touch_ = touch; }
  [[nodiscard]] std::size_t usable_size(const void* block, std::size_t size) const noexcept {
    return heap_->usable_size(block, size);
  }
  [[nodiscard]] HeapStats stats() const noexcept { return heap_->stats(); }
  void walk(const BlockVisitor& visit) const { heap_->walk(visit); }
  void check() const { heap_->check(); }
  [[nodiscard]] std::string report() const {
    std::string json;
    heap_->report(json);
    return json;
  }
  [[nodiscard]] const std::string& finding() const noexcept { return findings_.first(); }

  const StrategyInfo info;

 private:
  Findings findings_;
  std::unique_ptr<MallocHeap> heap_;
  MallocCalls calls_;
  Touch touch_ = Touch::none;
};

void replay_as_malloc(const Recipe& recipe, const ReplayRequest& request, ReplayResult& result) {
  run_kind<true, CalledAsMalloc>(recipe, request, result);
}

void replay_any(const Recipe& recipe, const ReplayRequest& request, ReplayResult& result) {
  run_kind<true, Adapted<AnyHeap>>(recipe, request, result);
}

template <class Outermost>
void replay_adapted(const Recipe& recipe, const ReplayRequest& request, ReplayResult& result) {
  if constexpr (MEMTOOL_INLINED)
    if (is_inlined(request.pass)) return run_kind<false, Adapted<Outermost>>(recipe, request, result);
  replay_any(recipe, request, result);
}

template <class A, class Outermost = AnyHeap>
AdaptorEntry entry_of() {
  return {
      .info = &A::info,
      .alignment_below =
          [](const Parameters& parameters, std::uint64_t alignment) {
            if constexpr (requires { A::alignment_below(parameters, alignment); })
              return A::alignment_below(parameters, alignment);
            return alignment;
          },
      .limits =
          [](const Parameters& parameters, const Limits& below, std::uint64_t alignment) {
            if constexpr (requires { A::limits(parameters, below, alignment); })
              return A::limits(parameters, below, alignment);
            return below;
          },
      .open = [](std::unique_ptr<AnyHeap> below, const Parameters& parameters, Findings& findings)
          -> std::unique_ptr<AnyHeap> { return A::open(std::move(below), parameters, findings); },
      .replay = std::is_same_v<A, AsMalloc>          ? replay_as_malloc
                : std::is_same_v<Outermost, AnyHeap> ? replay_any
                                                     : replay_adapted<Outermost>,
  };
}

// Returns the part before the next '+' and removes it from `text`.
std::string_view next_part(std::string_view& text) {
  const auto plus = text.find('+');
  const std::string_view part = text.substr(0, plus);
  text = plus == std::string_view::npos ? std::string_view{} : text.substr(plus + 1);
  return part;
}

const StrategyEntry* known_strategy(std::string_view name) {
  const StrategyEntry* entry = find_strategy(name.substr(0, name.find('+')));
  if (entry == nullptr)
    throw std::invalid_argument("no strategy '" + std::string(name.substr(0, name.find('+'))) + "' in this engine");
  return entry;
}

const AdaptorEntry* known_adaptor(std::string_view name) {
  for (const AdaptorEntry& entry : adaptors())
    if (entry.info->name == name) return &entry;
  throw std::invalid_argument("no adaptor '" + std::string(name) + "' in this engine");
}

}  // namespace

const std::vector<AdaptorEntry>& adaptors() {
  static const std::vector<AdaptorEntry> entries = {
      MEMTOOL_ADAPTORS,
  };
  return entries;
}

Recipe::Recipe(std::string_view name, std::string_view parameters)
    : strategy_(known_strategy(name)), parameters_(*strategy_->info, next_part(parameters)) {
  next_part(name);
  while (!name.empty()) {
    const AdaptorEntry* entry = known_adaptor(next_part(name));
    over_.push_back({entry, Parameters(*entry->info, next_part(parameters))});
  }
  refuse_what_cannot_stand();
}

void Recipe::refuse_what_cannot_stand() const {
  for (const Over& adaptor : over_) {
    const std::string name(adaptor.entry->info->name);
    const std::string bottom(strategy_->info->name);
    if (strategy_->info->is_control && adaptor.entry->info->keeps_books)
      throw CannotStand(name + " records each block; " + bottom + " hands out the same block again and again");
    const FreeOrder order = strategy_->info->free_order;
    if ((order == FreeOrder::lifo || order == FreeOrder::fifo) && adaptor.entry->info->delays_frees)
      throw CannotStand(name + " frees blocks later and in another order; " + bottom + " takes back only the " +
                        (order == FreeOrder::lifo ? "youngest" : "oldest") + " block");
  }
}

StrategyInfo Recipe::info() const noexcept {
  return info_of(over_.size());
}

StrategyInfo Recipe::info_of(std::size_t adaptors) const noexcept {
  StrategyInfo info = *strategy_->info;
  info.uses_region = strategy_->uses_region(parameters_);
  for (std::size_t i = 0; i < adaptors; ++i) {
    const Threads threads = over_[i].entry->info->threads;
    if (threads != Threads::as_below) info.thread_safe = threads == Threads::any;
  }
  return info;
}

bool Recipe::compiles_as_malloc(std::size_t place) const noexcept {
  return place == 0 && over_[place].entry->info == &AsMalloc::info;
}

bool Recipe::frees_bare(std::size_t place) const noexcept {
  if (place == 0) return strategy_->abilities.frees_bare;
  return std::any_of(over_.begin(), over_.begin() + static_cast<std::ptrdiff_t>(place),
                     [](const Over& adaptor) { return adaptor.entry->info->keeps_books; });
}

Limits Recipe::limits(std::uint64_t alignment) const {
  // Alignments are passed down from above, limits of sizes up from below.
  std::vector<std::uint64_t> alignments(over_.size());
  for (std::size_t i = over_.size(); i-- > 0;) {
    alignments[i] = alignment;
    alignment = over_[i].entry->alignment_below(over_[i].parameters, alignment);
  }
  Limits limits = strategy_->limits(parameters_);
  for (std::size_t i = 0; i < over_.size(); ++i)
    limits = over_[i].entry->info == &AsMalloc::info && frees_bare(i)
                 ? AsMalloc::limits_of(limits, 0)
                 : over_[i].entry->limits(over_[i].parameters, limits, alignments[i]);
  return limits;
}

std::unique_ptr<AnyHeap> Recipe::open(Region& region, Findings& findings) const {
  (void)limits();  // an impossible recipe is rejected here too
  return open(region, findings, over_.size());
}

std::unique_ptr<AnyHeap, EndOfHeap> Recipe::open_for_replay(Region& region, Findings& findings) const {
  if (!place_.has_value()) return std::unique_ptr<AnyHeap, EndOfHeap>(open(region, findings).release());
  return {strategy_->open_at(place_->data(), region, parameters_), EndOfHeap{.frees = false}};
}

std::unique_ptr<MallocHeap> Recipe::open_as_malloc(Region& region, Findings& findings) const {
  const std::size_t below = over_.size() - 1;
  if (below == 0) return strategy_->open_as_malloc(region, parameters_);
  return AsMalloc::open_bare(open(region, findings, below), info_of(below).thread_safe);
}

std::unique_ptr<AnyHeap> Recipe::open(Region& region, Findings& findings, std::size_t adaptors) const {
  const auto keeps_books = [](const Over& adaptor) { return adaptor.entry->info->keeps_books; };
  const auto numbered = std::find_if(over_.rbegin(), over_.rend(), keeps_books);
  std::size_t first = 0;
  std::unique_ptr<AnyHeap> heap;
  if (adaptors > 0 && compiles_as_malloc(0)) {
    heap =
        std::make_unique<AsMalloc>(strategy_->open_as_malloc(region, parameters_), strategy_->uses_region(parameters_));
    first = 1;
  } else {
    heap = strategy_->open(region, parameters_);
  }
  for (std::size_t i = first; i < adaptors; ++i) {
    const Over& adaptor = over_[i];
    heap = adaptor.entry->open(std::move(heap), adaptor.parameters, findings);
    if (numbered != over_.rend() && &adaptor == &*numbered)
      heap = std::make_unique<Numbered>(std::move(heap), findings);
  }
  return heap;
}

const void* Recipe::inlined(std::string_view kind) const noexcept {
  return over_.empty() && strategy_->inlined != nullptr ? strategy_->inlined(kind) : nullptr;
}

void Recipe::replay(const ReplayRequest& request, ReplayResult& result) {
  if (!over_.empty()) {
    (void)limits();
    return over_.back().entry->replay(*this, request, result);
  }
  if (is_inlined(request.pass) && strategy_->replay != nullptr) return strategy_->replay(parameters_, request, result);
  place_.emplace(strategy_->bytes);
  if (place_->data() == nullptr) return fail(result, MEMTOOL_BAD_REQUEST, "no memory for the heap itself");
  replay_any(*this, request, result);
}

}  // namespace memtool
