// What is known of each live object of a trace, by its number.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace memtool {

// Objects are numbered in order of birth. The table forgets what has died, so that reading a trace needs memory for its
// live objects and not for all of it: neighbouring objects share a page, which is given up with the last of them.
template <class T>
class ObjectTable {
 public:
  // Throws std::runtime_error when `object` is not the next number.
  T& enter(std::uint64_t object) {
    if (object != born_) throw std::runtime_error("object " + std::to_string(object) + " is not the next number");
    if (born_ % kPageObjects == 0) pages_.push_back(std::make_unique<Page>());
    ++born_;
    Page& page = *pages_.back();
    ++page.live;
    page.alive[object % kPageObjects] = true;
    return page.objects[object % kPageObjects];
  }

  [[nodiscard]] std::uint64_t born() const noexcept { return born_; }

  // Throws std::runtime_error when `object` is not alive.
  T& live(std::uint64_t object) {
    if (object < born_) {
      Page* page = pages_[object >> kPageBits].get();
      if (page != nullptr && page->alive[object % kPageObjects]) return page->objects[object % kPageObjects];
    }
    throw std::runtime_error("object " + std::to_string(object) + " is freed or resized while it is not alive");
  }

  void leave(std::uint64_t object) {
    std::unique_ptr<Page>& page = pages_[object >> kPageBits];
    page->alive[object % kPageObjects] = false;
    if (--page->live == 0 && (object | (kPageObjects - 1)) < born_) page.reset();
  }

 private:
  static constexpr unsigned kPageBits = 12;
  static constexpr std::uint64_t kPageObjects = std::uint64_t{1} << kPageBits;

  struct Page {
    std::array<T, kPageObjects> objects;
    std::array<bool, kPageObjects> alive{};
    std::uint32_t live = 0;
  };

  std::vector<std::unique_ptr<Page>> pages_;
  std::uint64_t born_ = 0;
};

}  // namespace memtool
