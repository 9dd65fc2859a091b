// The passes in which every object and every block is accounted for.
#include <algorithm>

#include "kinds/construct/audit.hpp"
#include "kinds/construct/factory.hpp"
#include "kinds/construct/image.hpp"
#include "kinds/construct/type_table.hpp"

namespace memtool::construct {
namespace {

template <class T>
constexpr memtool_type kTable{
    MEMTOOL_TYPE_ABI, sizeof(memtool_type), "", sizeof(T), alignof(T), Compiled<T>::construct, Compiled<T>::destroy,
    Compiled<T>::use, Compiled<T>::reset};

// Nothing is timed here, so the ways in a block are compiled once for all types.
template <class T>
struct WithBooks {
  static std::unique_ptr<Life> life_with_books(const Asked& asked) {
    type_table = &kTable<T>;
    if (auto life = life_in_a_block<CountedTabled>(asked)) return life;
    return life_by_handle<Counted<T>>(asked);
  }
  static constexpr Make kMade = life_with_books;
};

// memtool/kinds/construct/results.py declares the same structure.
struct Audited {
  std::uint64_t constructions;
  std::uint64_t destructions;
  std::uint64_t blocks;
  std::uint64_t asked_bytes;
  std::uint64_t peak_footprint_bytes;  // ~0: the allocator does not use the region
  std::uint64_t thrown;                // rounds in which a constructor threw
};

class Auditor {
 public:
  Auditor(KernelCall& call, std::span<std::byte> place)
      : call_(call), image_(image_of(call)), per_array_(per_array_of(image_, call.way())) {
    order_ = order_of(image_, image_.objects / per_array_);
    asked_.way = call.way();
    asked_.setting = {nullptr, place, order_.size(), per_array_, order_};
    asked_.reopen = [this] {
      close();
      heap_ = std::make_unique<Watched>(call_.open(), books_);
      return heap_.get();
    };
  }
  Auditor(const Auditor&) = delete;
  Auditor& operator=(const Auditor&) = delete;

  // Runs one round in which the construction of this number throws (0: none). Returns false if the sample has failed.
  bool round(std::uint64_t throws_at) {
    books = &books_;
    books_ = {};
    books_.throws_at = throws_at;
    footprint_ = 0;
    if (*call_.request.strategy != '\0') asked_.setting.heap = asked_.reopen();
    std::unique_ptr<Life> life;
    bool has_thrown = false;
    try {
      life = image_.type < kTypes ? ForEachType<WithBooks>::kAll[image_.type](asked_)
                                  : life_in_a_block<CountedTabled>(asked_);
      if (life == nullptr) return wrong(MEMTOOL_BAD_REQUEST, "no such way for this type");
      life->make();
      if (life->made() != order_.size()) return wrong(MEMTOOL_OUT_OF_MEMORY, "out of memory");
      (void)life->use();
      life->end();
    } catch (const Thrown&) {
      has_thrown = true;
      if (life != nullptr) life->end_part();
    }
    life.reset();
    if (has_thrown != (throws_at != 0)) return wrong(MEMTOOL_WRONG, "a constructor that throws was not called");
    return is_balanced();
  }
  [[nodiscard]] Audited figures() const noexcept {
    return {books_.constructions,
            books_.destructions,
            books_.blocks,
            books_.asked_bytes,
            on_region_ ? footprint_ : kNotApplicable,
            0};
  }

 private:
  bool wrong(std::uint32_t status, const char* words) { return refused(call_.result, status, "%s", words); }
  void close() {
    if (heap_ == nullptr) return;
    on_region_ = heap_->uses_region();
    footprint_ = std::max<std::uint64_t>(footprint_, call_.region.peak());
    heap_->check();
    blocks_left_ = heap_->live();
    heap_.reset();
  }
  bool is_balanced() {
    blocks_left_ = 0;
    close();
    const bool forgets = asked_.way == "forgotten";
    if (!books_.wrong().empty()) return wrong(MEMTOOL_WRONG, books_.wrong().c_str());
    if (!forgets && books_.live() != 0)
      return refused(call_.result, MEMTOOL_WRONG, "%zu of %llu objects were not destroyed", books_.live(),
                     as_printed(books_.constructions));
    if (blocks_left_ != 0)
      return refused(call_.result, MEMTOOL_WRONG, "%zu of %llu blocks were not freed", blocks_left_,
                     as_printed(books_.blocks));
    return !call_.detected();
  }

  KernelCall& call_;
  const Image& image_;
  std::uint64_t per_array_;
  std::vector<std::uint32_t> order_;
  Asked asked_{};
  Books books_;
  std::unique_ptr<Watched> heap_;
  bool on_region_ = false;
  std::uint64_t footprint_ = 0;
  std::size_t blocks_left_ = 0;
};

}  // namespace

void audit(KernelCall& call, std::span<std::byte> place) {
  auto& figures = call.figures<Audited>();
  Auditor auditor(call, place);
  if (!auditor.round(0)) return;
  figures = auditor.figures();
  const std::uint64_t constructions = figures.constructions;
  if (call.pass() == "footprint" || constructions == 0) return;
  for (const std::uint64_t throws_at : {std::uint64_t{1}, constructions / 2 + 1, constructions}) {
    if (!auditor.round(throws_at)) return;
    ++figures.thrown;
  }
}

}  // namespace memtool::construct
