// What graph programs on an explicit allocator are compared with: the same operations as a C++ programmer would write
// them by hand, over memory in which a pointer moves up.
//
//   handwritten_graphs IMAGE ROUNDS
//
// prints the nanoseconds of the fastest round. It shares nothing with the engine but the layout of the image.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <vector>

#include "kinds/graph/program/image.hpp"
#include "rounds.hpp"

namespace {

using namespace memtool::graph;
using Object = std::uint64_t;  // its first word

class Memory {
 public:
  explicit Memory(std::size_t bytes) : first_(static_cast<char*>(std::malloc(bytes))), end_(first_ + bytes) {}
  ~Memory() { std::free(first_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  void drop() { next_ = first_; }
  Object* take(std::size_t bytes) {
    bytes = (bytes + 7) & ~std::size_t{7};
    if (bytes > static_cast<std::size_t>(end_ - next_)) return nullptr;
    void* const taken = next_;
    next_ += bytes;
    return static_cast<Object*>(taken);
  }

 private:
  char* first_;
  char* end_;
  char* next_ = first_;
};

struct Loop {
  const std::uint64_t* first;
  std::uint64_t left;
};

std::uint64_t play(const Program& program, Memory& memory, Object** roots, Object** objects) {
  Loop loops[kMostLoops];
  Loop* innermost = loops - 1;
  std::uint64_t sum = 0;
  for (const std::uint64_t* at = program.begin();;) {
    const std::uint64_t now = *at++;
    switch (word::op(now)) {
      case Op::allocate: {
        const std::uint32_t size = word::low(now);
        const std::uint32_t references = word::high(*at);
        const std::uint32_t slot = word::low(*at++);
        Object* const made = memory.take(size);
        if (made == nullptr) return 0;
        objects[slot] = made;
        for (std::uint32_t i = 0; i < references; ++i) made[i] = 0;
        for (std::uint32_t i = references; i < size / 8; ++i) made[i] = slot;
        roots[word::root(now)] = made;
        break;
      }
      case Op::load:
        roots[word::a(now)] = reinterpret_cast<Object*>(roots[word::b(now)][word::c(now)]);
        break;
      case Op::store:
        roots[word::a(now)][word::c(now)] =
            word::b(now) == kNullRoot ? 0 : reinterpret_cast<std::uintptr_t>(roots[word::b(now)]);
        break;
      case Op::copy:
        roots[word::a(now)] = roots[word::b(now)];
        break;
      case Op::clear:
        roots[word::root(now)] = nullptr;
        break;
      case Op::access:
        sum += roots[word::a(now)][word::c(now)];
        break;
      case Op::free:
        at += word::low(now);  // nothing comes back
        break;
      case Op::control:
        break;
      case Op::repeat:
        *++innermost = {at, (now & ~std::uint64_t{0} >> 4) - 1};
        break;
      case Op::again:
        if (innermost->left-- == 0)
          --innermost;
        else
          at = innermost->first;
        break;
      case Op::end:
        return sum;
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  std::ifstream file(arguments[1], std::ios::binary);
  const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
  const Program program(bytes.data());
  const Head& head = program.head();
  Memory memory(head.allocated_bytes + head.allocations * 8);
  std::vector<Object*> roots(head.roots);
  std::vector<Object*> objects(head.slots);
  bool is_done = true;
  const std::uint64_t best = by_hand::fastest(std::atol(arguments[2]), [&] {
    memory.drop();
    if (play(program, memory, roots.data(), objects.data()) != head.checksum) is_done = false;
  });
  std::printf("%llu\n", static_cast<unsigned long long>(best));
  return is_done ? 0 : 1;
}
