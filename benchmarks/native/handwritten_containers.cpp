// What the kernel of containers is compared with: the same operations as a C++ programmer would write them by hand.
//
//   handwritten_containers IMAGE ROUNDS
//
// prints the nanoseconds of the fastest round. Lists, maps and vectors over a list of free blocks for each size, called
// through pointers as the rows of memtool are. It shares nothing with the engine but the layout of the image.
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <list>
#include <map>
#include <new>
#include <vector>

#include "kinds/container/image.hpp"
#include "rounds.hpp"

namespace {

using namespace memtool::containers;

// A table of functions: of an interface with one implementation the compiler would call that directly.
struct Memory {
  void* (*take)(Memory& self, std::size_t bytes);
  void (*give)(Memory& self, void* block, std::size_t bytes);
};

class FreeLists : public Memory {
 public:
  FreeLists() : Memory{take_one, give_one}, first_(static_cast<char*>(std::malloc(kBytes))) {}
  ~FreeLists() { std::free(first_); }
  FreeLists(const FreeLists&) = delete;
  FreeLists& operator=(const FreeLists&) = delete;
  void drop() {
    next_ = first_;
    free_.fill(nullptr);
  }

 private:
  static void* take_one(Memory& self, std::size_t bytes) { return static_cast<FreeLists&>(self).taken(bytes); }
  static void give_one(Memory& self, void* block, std::size_t bytes) {
    static_cast<FreeLists&>(self).given(block, bytes);
  }
  void* taken(std::size_t bytes) {
    const std::size_t place = level(bytes);
    if (void* block = free_[place]) {
      free_[place] = *static_cast<void**>(block);
      return block;
    }
    const std::size_t whole = bytes <= 1024 ? (bytes + 15) & ~std::size_t{15} : std::bit_ceil(bytes);
    if (whole > static_cast<std::size_t>(first_ + kBytes - next_)) throw std::bad_alloc();
    void* block = next_;
    next_ += whole;
    return block;
  }
  void given(void* block, std::size_t bytes) {
    void*& first = free_[level(bytes)];
    *static_cast<void**>(block) = first;
    first = block;
  }

  static constexpr std::size_t kBytes = std::size_t{1} << 30;
  static std::size_t level(std::size_t bytes) {
    return bytes <= 1024 ? (bytes + 15) / 16 : 64 + static_cast<std::size_t>(std::bit_width(bytes - 1));
  }
  char* first_;
  char* next_ = first_;
  std::array<void*, 130> free_{};
};

template <class T>
struct Allocator {
  using value_type = T;
  explicit Allocator(Memory& from) : memory(&from) {}
  template <class U>
  Allocator(const Allocator<U>& other) : memory(other.memory) {}
  T* allocate(std::size_t count) { return static_cast<T*>(memory->take(*memory, count * sizeof(T))); }
  void deallocate(T* block, std::size_t count) { memory->give(*memory, block, count * sizeof(T)); }
  bool operator==(const Allocator& other) const { return memory == other.memory; }
  Memory* memory;
};

using List = std::list<std::uint64_t, Allocator<std::uint64_t>>;
using Vector = std::vector<std::uint64_t, Allocator<std::uint64_t>>;
using Map =
    std::map<std::uint64_t, std::uint64_t, std::less<>, Allocator<std::pair<const std::uint64_t, std::uint64_t>>>;

template <class C>
constexpr bool kIsMap = requires { typename C::mapped_type; };

template <class C>
std::uint64_t replay(const Image& image, Memory& memory) {
  std::vector<C> containers;
  for (std::uint64_t i = 0; i < image.head().containers; ++i)
    containers.emplace_back(typename C::allocator_type(memory));
  std::uint64_t sum = 0;
  for (const Step& step : image.steps()) {
    for (const std::uint64_t operation : image.operations(step)) {
      C& container = containers[word::container(operation)];
      const std::uint64_t key = word::key(operation);
      switch (word::action(operation)) {
        case Action::push:
          if constexpr (kIsMap<C>) {
            container.emplace(key, value_of(key));
          } else {
            container.push_back(key);
          }
          break;
        case Action::pop:
          if constexpr (kIsMap<C>) {
            sum += container.erase(key);
          } else if (!container.empty()) {
            if constexpr (requires { container.pop_front(); }) {
              container.pop_front();
            } else {
              container.pop_back();
            }
            ++sum;
          }
          break;
        case Action::find:
          if constexpr (kIsMap<C>) {
            const auto at = container.find(key);
            sum += at == container.end() ? 1 : at->second;
          }
          break;
        case Action::traverse:
          for (std::uint64_t i = 0; i < key; ++i) {
            for (const auto& element : container) {
              if constexpr (kIsMap<C>) {
                sum += element.second;
              } else {
                sum += element;
              }
            }
            asm volatile("" ::: "memory");
          }
          break;
        case Action::clear:
          container.clear();
          break;
        default:
          break;
      }
    }
  }
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const Image image(bytes.data());
  FreeLists lists;
  Memory* memory = &lists;
  asm volatile("" : "+r"(memory));  // what it calls the compiler must not know
  bool is_done = true;
  const std::uint64_t best = by_hand::fastest(std::atol(arguments[2]), [&] {
    lists.drop();
    const std::uint64_t sum = image.type() == Type::list  ? replay<List>(image, *memory)
                              : image.type() == Type::map ? replay<Map>(image, *memory)
                                                          : replay<Vector>(image, *memory);
    if (sum != image.head().checksum) is_done = false;
  });
  std::printf("%llu\n", static_cast<unsigned long long>(best));
  return is_done ? 0 : 1;
}
