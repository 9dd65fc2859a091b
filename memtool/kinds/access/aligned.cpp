// Allocates all blocks with the alignment of the way, to show what alignment costs an allocator.
#include <bit>
#include <charconv>
#include <cstdint>

#include "kinds/access/blocks.hpp"
#include "kinds/access/ways.hpp"

namespace memtool::access {
namespace {

constexpr std::string_view kPrefix = "align-";

class Allocations final : public Rounds {
 public:
  explicit Allocations(Blocks& blocks) noexcept : blocks_(blocks) {}
  bool before() override { return blocks_.open(); }
  bool body() override { return blocks_.allocate(); }
  bool after() override { return blocks_.free(), true; }

 private:
  Blocks& blocks_;
};

}  // namespace

bool align(KernelCall& call, const Image& image) {
  if (!call.way().starts_with(kPrefix)) return false;
  const std::string_view digits = call.way().substr(kPrefix.size());
  std::uint64_t alignment = 0;
  const auto [end, problem] = std::from_chars(digits.begin(), digits.end(), alignment);
  if (problem != std::errc() || end != digits.end() || !std::has_single_bit(alignment)) return false;
  if (call.pass() == "footprint") return account(call, image, alignment), true;
  Blocks blocks(call, image, alignment);
  if (call.pass() == "check") {
    if (blocks.open() && blocks.allocate()) (void)check_blocks(call, blocks, alignment);
    return true;
  }
  Allocations allocations(blocks);
  (void)run_rounds(call, allocations);
  return true;
}

}  // namespace memtool::access
