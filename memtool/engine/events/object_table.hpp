// A record for each live object of a trace, found by the object's number.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace memtool {

// Objects are numbered in order of birth. The table drops dead objects, so reading a trace needs memory for the live
// objects, not for all of them. Neighbouring objects share a page. The few that long outlive their page are moved out
// of it, so that the page can be freed once most of its objects are dead.
template <class T>
class ObjectTable {
 public:
  // Throws std::runtime_error if `object` is not the next number.
  T& enter(std::uint64_t object) {
    if (object != born_) throw std::runtime_error("object " + std::to_string(object) + " is not the next number");
    if (born_ % kPageObjects == 0) {
      if (born_ > 0) spill_if_sparse(born_ - 1);
      pages_.push_back(std::make_unique<Page>());
    }
    ++born_;
    Page& page = *pages_.back();
    ++page.live;
    page.alive[object % kPageObjects] = true;
    return page.objects[object % kPageObjects];
  }

  [[nodiscard]] std::uint64_t born() const noexcept { return born_; }

  // The reference is valid until another object leaves. Throws std::runtime_error if `object` is not alive.
  T& live(std::uint64_t object) {
    if (object < born_) {
      Page* page = pages_[object >> kPageBits].get();
      if (page != nullptr) {
        if (page->alive[object % kPageObjects]) return page->objects[object % kPageObjects];
      } else if (const auto stray = strays_.find(object); stray != strays_.end()) {
        return stray->second;
      }
    }
    throw std::runtime_error("object " + std::to_string(object) + " is freed or resized while it is not alive");
  }

  // `object` must be alive.
  void leave(std::uint64_t object) {
    Page* page = pages_[object >> kPageBits].get();
    if (page == nullptr) {
      strays_.erase(object);
      return;
    }
    page->alive[object % kPageObjects] = false;
    --page->live;
    if ((object | (kPageObjects - 1)) < born_) spill_if_sparse(object);
  }

  // Calls visit(value) for each live object, in unspecified order.
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& page : pages_)
      for (std::uint64_t i = 0; page != nullptr && i < kPageObjects; ++i)
        if (page->alive[i]) visit(page->objects[i]);
    for (const auto& [object, value] : strays_) visit(value);
  }

 private:
  static constexpr unsigned kPageBits = 12;
  static constexpr std::uint64_t kPageObjects = std::uint64_t{1} << kPageBits;
  static constexpr std::uint32_t kFew = kPageObjects / 16;

  struct Page {
    std::array<T, kPageObjects> objects;
    std::array<bool, kPageObjects> alive{};
    std::uint32_t live = 0;
  };

  void spill_if_sparse(std::uint64_t of) {
    std::unique_ptr<Page>& page = pages_[of >> kPageBits];
    if (page == nullptr || page->live > kFew) return;
    for (std::uint64_t i = 0; page->live > 0; ++i) {
      if (!page->alive[i]) continue;
      strays_.emplace((of & ~(kPageObjects - 1)) + i, std::move(page->objects[i]));
      --page->live;
    }
    page.reset();
  }

  std::vector<std::unique_ptr<Page>> pages_;
  std::unordered_map<std::uint64_t, T> strays_;
  std::uint64_t born_ = 0;
};

}  // namespace memtool
