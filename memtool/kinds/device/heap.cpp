#include "kinds/device/heap.hpp"

#include "kinds/mute.hpp"

namespace memtool::device {
namespace {

class Allocations final : public Mute {
 public:
  explicit Allocations(Driver& driver) noexcept : driver_(driver) {}
  void* allocate(std::size_t size, std::size_t) override { return driver_.allocate(size); }
  void deallocate(void* block, std::size_t, std::size_t) override { driver_.free(block); }

 private:
  Driver& driver_;
};

}  // namespace

std::unique_ptr<AnyHeap> make_heap(Driver& driver) {
  return std::make_unique<Allocations>(driver);
}

}  // namespace memtool::device
