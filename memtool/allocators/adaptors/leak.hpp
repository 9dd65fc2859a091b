// Reports the blocks that are still live at the end.
#pragma once

#include <algorithm>
#include <map>
#include <vector>

#include "allocators/support/books/bookkeeper.hpp"
#include "allocators/support/json.hpp"

namespace memtool {

class Leak final : public Bookkeeper {
 public:
  static constexpr AdaptorInfo info{
      .name = "leak",
      .summary =
          "Reports blocks that are still live at the end, by size and caller, with the operations that allocated them.",
      .source = "Hastings, Joyce: Purify: fast detection of memory leaks and access errors, USENIX Winter 1992",
      .cost = "one hash table entry for each live block",
      .when = "workloads that must free everything, recorded programs above all",
      .keeps_books = true,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings& findings) {
    return std::make_unique<Leak>(std::move(below), findings);
  }

  using Bookkeeper::Bookkeeper;

  // The number of an operation is that of an event of the trace, where the user can look up who requested the block.
  void report(std::string& json) const override {
    below().report(json);
    using Alike = std::pair<std::size_t, const void*>;  // size, caller
    std::map<Alike, std::vector<std::uint64_t>> by_kind;
    for (const auto& [block, entry] : book().live()) by_kind[{entry.size, entry.caller}].push_back(entry.operation);
    std::vector<std::pair<Alike, std::vector<std::uint64_t>>> groups(by_kind.begin(), by_kind.end());
    std::ranges::stable_sort(groups, std::greater{},
                             [](const auto& group) { return group.first.first * group.second.size(); });

    JsonWriter out;
    out.raw(json.empty() ? "" : ",").key("leak").raw("{").key("blocks").number(book().live().size());
    out.raw(",").key("bytes").number(book().live_bytes()).raw(",").key("sizes").number(groups.size());
    out.raw(",").key("groups").raw("[");
    groups.resize(std::min(groups.size(), kMostGroups));
    for (auto& [kind, operations] : groups) {
      std::ranges::sort(operations);
      out.raw(&kind == &groups.front().first ? "" : ",").raw("{").key("size").number(kind.first);
      if (kind.second != nullptr) out.raw(",").key("caller").text(CallSite(kind.second).words());
      out.raw(",").key("blocks").number(operations.size()).raw(",").key("operations").raw("[");
      for (std::size_t i = 0; i < std::min(operations.size(), kMostOperations); ++i)
        out.raw(i == 0 ? "" : ",").number(operations[i]);
      out.raw("]}");
    }
    json += std::move(out.raw("]}")).take();
  }

 private:
  static constexpr std::size_t kMostGroups = 16;
  static constexpr std::size_t kMostOperations = 4;
};

}  // namespace memtool
