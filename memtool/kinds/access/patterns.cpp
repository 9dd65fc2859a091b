// Reads and writes of the blocks in some order: sequential, strided, random, or a chase through pointers.
//
// An access covers one word. The place of the next access comes from a table that is read front to back. In the chase
// it comes from the block itself.
#include <algorithm>
#include <array>
#include <cstring>

#include "engine/instruments/pages.hpp"
#include "engine/passes/check.hpp"
#include "kinds/access/blocks.hpp"
#include "kinds/access/ways.hpp"

namespace memtool::access {
namespace {

std::uint64_t word_at(const std::byte* at) noexcept {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}
void write_word(std::byte* at, std::uint64_t word) noexcept {
  std::memcpy(at, &word, sizeof word);
}

// The places of the accesses in a round, in their order; the course is repeated.
struct Course {
  std::byte* const* places;  // followed by the first `ahead` places again
  std::uint64_t length;
  std::uint64_t accesses;
  std::uint64_t ahead;
};

// Calls stretch(n) for the first n places of the course, until all accesses are done.
template <class Stretch>
void in_stretches(const Course& course, Stretch stretch) noexcept {
  for (std::uint64_t left = course.accesses; left > 0;) {
    const std::uint64_t n = std::min(left, course.length);
    stretch(n);
    left -= n;
  }
}

// Each of these returns a value that depends on every word read. The places are copied to a local variable: as far as
// the compiler knows, a write could change the course, and each access would load them again.
[[gnu::noinline]] std::uint64_t read(const Course& course) noexcept {
  std::byte* const* const places = course.places;
  std::uint64_t sum = 0;
  in_stretches(course, [&](std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) sum += word_at(places[i]);
  });
  return sum;
}
[[gnu::noinline]] std::uint64_t write(const Course& course) noexcept {
  std::byte* const* const places = course.places;
  in_stretches(course, [&](std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) write_word(places[i], i);
  });
  return 0;
}
[[gnu::noinline]] std::uint64_t chase(const Course& course) noexcept {
  std::uint64_t at = reinterpret_cast<std::uintptr_t>(course.places[0]);
  for (std::uint64_t i = 0; i < course.accesses; ++i) at = word_at(reinterpret_cast<const std::byte*>(at));
  return at;
}
// Writes back what it reads, so that every visited line has to be written out again.
[[gnu::noinline]] std::uint64_t chase_write(const Course& course) noexcept {
  std::uint64_t at = reinterpret_cast<std::uintptr_t>(course.places[0]);
  for (std::uint64_t i = 0; i < course.accesses; ++i) {
    auto* const place = reinterpret_cast<std::byte*>(at);
    at = word_at(place);
    asm volatile("" : "+r"(at));  // otherwise the compiler sees that the write changes nothing
    write_word(place, at);
  }
  return at;
}
[[gnu::noinline]] std::uint64_t chase_prefetched(const Course& course) noexcept {
  std::uint64_t at = reinterpret_cast<std::uintptr_t>(course.places[0]);
  in_stretches(course, [&](std::uint64_t n) {
    for (std::uint64_t i = 0; i < n; ++i) {
      __builtin_prefetch(course.places[i + course.ahead]);
      at = word_at(reinterpret_cast<const std::byte*>(at));
    }
  });
  return at;
}

enum class Order : std::uint8_t { sequential, strided, random };
struct Way {
  std::string_view name;
  Order order;
  std::uint64_t (*loop)(const Course&) noexcept;
};
constexpr std::array kWays{
    Way{"read-sequential", Order::sequential, read},
    Way{"read-strided", Order::strided, read},
    Way{"read-random", Order::random, read},
    Way{"write-sequential", Order::sequential, write},
    Way{"write-strided", Order::strided, write},
    Way{"write-random", Order::random, write},
    Way{"chase", Order::random, chase},
    Way{"chase-write", Order::random, chase_write},
    Way{"chase-prefetched", Order::random, chase_prefetched},
};

// Counts the places of all blocks, in the order of their allocation.
std::uint64_t count_places(const Blocks& blocks, std::uint64_t every) noexcept {
  std::uint64_t count = 0;
  for (std::uint64_t i = 0; i < blocks.count(); ++i) count += (blocks.size(i) - sizeof(std::uint64_t)) / every + 1;
  return count;
}
void list_places(const Blocks& blocks, std::uint64_t every, std::byte** places) noexcept {
  for (std::uint64_t i = 0; i < blocks.count(); ++i)
    for (std::uint64_t at = 0; at + sizeof(std::uint64_t) <= blocks.size(i); at += every) *places++ = blocks.at(i) + at;
}

class Patterns final : public Rounds {
 public:
  Patterns(const Blocks& blocks, const Image& image, const Way& way)
      : way_(way),
        all_(count_places(blocks, image.every)),
        places_(all_),
        course_places_(std::min(all_, image.accesses) + image.ahead),
        course_{course_places_.data(), std::min(all_, image.accesses), image.accesses, image.ahead} {
    if (places_.data() == nullptr || course_places_.data() == nullptr) return;
    list_places(blocks, image.every, places_.data());
    for (std::uint64_t i = 0; i < all_; ++i)
      write_word(places_.data()[i], 0);  // otherwise every page would be the page of zeroes
    put_in_order(image);
    for (std::uint64_t i = 0; i < image.ahead; ++i)
      course_places_.data()[course_.length + i] = course_places_.data()[i % course_.length];
    if (is_chase()) thread();
  }
  [[nodiscard]] bool ready() const noexcept { return places_.data() != nullptr && course_places_.data() != nullptr; }

  bool body() override {
    last_ = way_.loop(course_);
    asm volatile("" ::"r"(last_) : "memory");
    return true;
  }

  // Returns what is wrong with one round, or nullptr.
  const char* check() {
    const std::uint64_t n = course_.length;
    if (!is_chase())
      for (std::uint64_t i = 0; i < n; ++i) write_word(course_.places[i], i + 1);
    body();
    if (is_chase())
      return last_ == reinterpret_cast<std::uintptr_t>(course_.places[course_.accesses % n])
                 ? nullptr
                 : "the chase does not end where it must";
    if (way_.loop == write) {
      for (std::uint64_t i = 0; i < n; ++i)
        if (word_at(course_.places[i]) != i) return "a write is missing, or a place is there twice";
      return nullptr;
    }
    const std::uint64_t rounds = course_.accesses / n;
    const std::uint64_t rest = course_.accesses % n;
    return last_ == rounds * (n * (n + 1) / 2) + rest * (rest + 1) / 2 ? nullptr
                                                                       : "not every place was read as often as it must";
  }

 private:
  [[nodiscard]] bool is_chase() const noexcept { return way_.name.starts_with("chase"); }

  void put_in_order(const Image& image) noexcept {
    std::byte** from = places_.data();
    std::byte** to = course_places_.data();
    const std::uint64_t n = course_.length;
    if (way_.order == Order::sequential) {
      std::copy_n(from, n, to);
    } else if (way_.order == Order::strided) {
      // Like a matrix that is read by columns: one column after another.
      for (std::uint64_t i = 0, column = 0; i < n; ++column)
        for (std::uint64_t at = column; at < all_ && i < n; at += image.stride) to[i++] = from[at];
    } else {
      Draw draw(image.seed + 1);  // independent of the draws of the sizes
      for (std::uint64_t i = 0; i < n; ++i) {
        std::swap(from[i], from[i + draw.below(all_ - i)]);
        to[i] = from[i];
      }
    }
  }
  void thread() noexcept {
    for (std::uint64_t i = 0; i < course_.length; ++i)
      write_word(course_.places[i], reinterpret_cast<std::uintptr_t>(course_.places[(i + 1) % course_.length]));
  }

  const Way& way_;
  std::uint64_t all_;
  Table<std::byte*> places_;
  Table<std::byte*> course_places_;
  Course course_;
  std::uint64_t last_ = 0;
};

}  // namespace

bool walk(KernelCall& call, const Image& image) {
  const auto* const way = std::ranges::find(kWays, call.way(), &Way::name);
  if (way == kWays.end()) return false;
  if (call.pass() == "footprint") return account(call, image, image.alignment), true;
  Blocks blocks(call, image, image.alignment);
  if (!blocks.open() || !blocks.allocate()) return true;
  const bool checks = call.pass() == "check";
  if (checks && !check_blocks(call, blocks, image.alignment)) return true;
  Patterns patterns(blocks, image, *way);
  if (!patterns.ready()) {
    fail(call.result, MEMTOOL_BAD_REQUEST, "no memory for a table of %llu accesses", as_printed(image.accesses));
  } else if (checks) {
    if (const char* problem = patterns.check()) fail(call.result, MEMTOOL_WRONG, "%s", problem);
  } else {
    (void)run_rounds(call, patterns);
  }
  return true;
}

}  // namespace memtool::access
