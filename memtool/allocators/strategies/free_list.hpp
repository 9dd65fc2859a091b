// The free list of the textbooks, with every design decision as a parameter. It is the baseline of comparisons, and the
// heap on which published figures are reproduced (verification/malloc_lab.py and free_space.py reproduce two of them).
#pragma once

#include <array>
#include <bit>
#include <stdexcept>
#include <string>
#include <variant>

#include "allocators/concept/strategy.hpp"
#include "allocators/support/common_parameters.hpp"
#include "allocators/support/lists/apart_blocks.hpp"
#include "allocators/support/lists/inline_blocks.hpp"
#include "allocators/support/lists/listed_heap.hpp"

namespace memtool {

class FreeListHeap {
  using Inline = ListedHeap<InlineBlocks>;
  using Apart = ListedHeap<ApartBlocks>;

  template <class Work>
  auto on(Work work) {
    if (auto* heap = std::get_if<Inline>(&heap_)) return work(*heap);
    return work(*std::get_if<Apart>(&heap_));
  }
  template <class Work>
  auto on(Work work) const {
    if (const auto* heap = std::get_if<Inline>(&heap_)) return work(*heap);
    return work(*std::get_if<Apart>(&heap_));
  }

 public:
  static constexpr std::array<ParameterInfo, 14> kParameters{{
      {.name = "fit",
       .summary = "which of the free blocks that fit is taken",
       .default_value = 0,
       .unit = "choice",
       .choices = "first|next|best|worst"},
      {.name = "order",
       .summary = "order of the free list; lifo and fifo order blocks by the time of their free",
       .default_value = 0,
       .unit = "choice",
       .choices = "address|lifo|fifo|size-ascending|size-descending"},
      {.name = "structure",
       .summary = "links in free blocks, no links (a search walks all blocks), or all metadata outside the heap",
       .default_value = 0,
       .unit = "choice",
       .choices = "explicit|implicit|apart"},
      {.name = "coalescing",
       .summary = "free neighbours coalesce at each free, before the heap grows, if adjacent in the list, or never",
       .default_value = 0,
       .unit = "choice",
       .choices = "immediate|deferred|listed|none"},
      {.name = "remainder",
       .summary = "where the remainder of a split goes: where a freed block would, or in the place of the block",
       .default_value = 0,
       .unit = "choice",
       .choices = "order|place"},
      {.name = "extend",
       .summary = "the heap grows by what its last free block lacks for the request, or by the whole request",
       .default_value = 0,
       .unit = "choice",
       .choices = "gap|need"},
      {.name = "header", .summary = "bytes in front of each payload", .default_value = 8, .minimum = 0, .maximum = 256},
      {.name = "footer", .summary = "bytes behind each payload", .default_value = 8, .minimum = 0, .maximum = 256},
      {.name = "alignment",
       .summary = "alignment of payloads; block sizes are multiples of it",
       .default_value = 16,
       .minimum = 1,
       .maximum = 4096},
      {.name = "round",
       .summary = "payload sizes are rounded up to a multiple of this",
       .default_value = 1,
       .minimum = 1,
       .maximum = 1 << 20},
      {.name = "minimum",
       .summary = "size of the smallest block with header and footer; 0: what a free block has to store",
       .default_value = 0,
       .minimum = 0,
       .maximum = 1 << 20},
      {.name = "split",
       .summary = "size of the smallest remainder that is split off; 0: the smallest block",
       .default_value = 0,
       .minimum = 0,
       .maximum = 1 << 30},
      {.name = "initial",
       .summary = "bytes of the heap at the start, at most the region's capacity",
       .default_value = 0,
       .minimum = 0,
       .maximum = std::uint64_t{1} << 40},
      kGrow,
  }};
  static constexpr StrategyInfo info{
      .name = "free-list",
      .family = "free-list",
      .summary = "The free list of the textbooks: fit, order, structure, coalescing and layout are parameters.",
      .source =
          "Knuth, The Art of Computer Programming 1, 3rd ed. 1997, 2.5; Bryant, O'Hallaron, Computer Systems, 9.9",
      .complexity =
          "allocate O(n) in the blocks searched; deallocate O(1) with footers and lifo or fifo order, otherwise O(n), "
          "for n free blocks",
      .when =
          "learning what each design choice costs; first-fit, next-fit, best-fit and worst-fit are fast versions of "
          "some",
      .parameters = kParameters,
  };
  static Limits limits(const Parameters& parameters) {
    const std::uint64_t alignment = parameters["alignment"];
    return {.largest_alignment = alignment < kDefaultAlignment ? alignment : kUnlimited, .least_alignment = alignment};
  }

  // Throws std::invalid_argument with a message of one line if the parameters contradict each other.
  FreeListHeap(Region& region, const Parameters& parameters) {
    const ListPolicy policy = policy_of(parameters);
    const ListLayout layout = layout_of(parameters, policy.linked);
    if (is_apart(parameters)) {
      heap_.emplace<Apart>(region, layout, policy);
    } else {
      heap_.emplace<Inline>(region, layout, policy);
    }
  }

  void* allocate(std::size_t size, std::size_t alignment) noexcept {
    return on([&](auto& heap) { return heap.allocate(size, alignment); });
  }
  void deallocate(void* payload, std::size_t size, std::size_t alignment) noexcept {
    on([&](auto& heap) { heap.deallocate(payload, size, alignment); });
  }
  void deallocate(void* payload) noexcept { deallocate(payload, 0, kDefaultAlignment); }
  [[nodiscard]] std::size_t usable_size(const void* payload, std::size_t size) const noexcept {
    return on([&](const auto& heap) { return heap.usable_size(payload, size); });
  }
  [[nodiscard]] HeapStats stats() const noexcept {
    return on([](const auto& heap) { return heap.stats(); });
  }
  void walk(const BlockVisitor& visit) const {
    on([&](const auto& heap) { heap.walk(visit); });
  }
  void check() const {
    on([](const auto& heap) { heap.check(); });
  }

 private:
  enum class Structure : std::uint8_t { with_links, without_links, apart };

  static void demand(bool holds, const std::string& words) {
    if (!holds) throw std::invalid_argument(words);
  }
  [[nodiscard]] static Structure structure_of(const Parameters& parameters) {
    return static_cast<Structure>(parameters["structure"]);
  }
  [[nodiscard]] static bool is_apart(const Parameters& parameters) {
    return structure_of(parameters) == Structure::apart;
  }

  [[nodiscard]] static ListPolicy policy_of(const Parameters& parameters) {
    const ListPolicy policy{.fit = static_cast<ListFit>(parameters["fit"]),
                            .order = static_cast<ListOrder>(parameters["order"]),
                            .coalescing = static_cast<Coalescing>(parameters["coalescing"]),
                            .remainder = static_cast<Remainder>(parameters["remainder"]),
                            .extension = static_cast<Extension>(parameters["extend"]),
                            .linked = structure_of(parameters) != Structure::without_links,
                            .initial = parameters["initial"],
                            .grow = parameters["grow"]};
    demand(policy.linked || policy.order == ListOrder::address,
           "order: structure=implicit has no list, its blocks are walked in address order");
    demand(policy.linked || policy.coalescing != Coalescing::listed,
           "coalescing: structure=implicit has no list, so nothing can follow in it");
    demand(policy.grow != 0 || policy.initial != 0, "grow: must not be 0 if the heap starts empty");
    return policy;
  }

  [[nodiscard]] static ListLayout layout_of(const Parameters& parameters, bool linked) {
    ListLayout layout{.header = parameters["header"],
                      .footer = parameters["footer"],
                      .alignment = parameters["alignment"],
                      .round = parameters["round"],
                      .minimum = parameters["minimum"],
                      .split = parameters["split"]};
    const bool apart = is_apart(parameters);
    const auto field = [&](std::size_t bytes) { return apart || bytes >= InlineBlocks::kLeastField; };
    demand(std::has_single_bit(layout.alignment),
           "alignment: must be a power of two, is " + std::to_string(layout.alignment));
    demand(field(layout.header), "header: must be at least 4 to hold a block's size, or the structure apart; is " +
                                     std::to_string(layout.header));
    demand(layout.footer == 0 || field(layout.footer),
           "footer: must be 0 or at least 4 to hold a block's size, is " + std::to_string(layout.footer));

    const std::size_t held = apart ? 1 : std::max(InlineBlocks::least_bytes(layout, linked), layout.overhead() + 1);
    const std::size_t least = bits::round_up(held, layout.alignment);
    if (layout.minimum == 0) layout.minimum = least;
    demand(layout.minimum >= held, "minimum: must be at least " + std::to_string(held) +
                                       ", what a free block of this structure holds, is " +
                                       std::to_string(layout.minimum));
    layout.minimum = bits::round_up(layout.minimum, layout.alignment);
    if (layout.split == 0) layout.split = layout.minimum;
    demand(layout.split >= layout.minimum, "split: must be at least the smallest block, " +
                                               std::to_string(layout.minimum) + ", is " + std::to_string(layout.split));
    return layout;
  }

  std::variant<std::monostate, Inline, Apart> heap_;
};

}  // namespace memtool

MEMTOOL_STRATEGY(memtool::FreeListHeap);
