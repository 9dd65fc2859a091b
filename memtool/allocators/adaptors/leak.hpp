// Who is still there at the end.
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "allocators/support/books/bookkeeper.hpp"
#include "allocators/support/json.hpp"

namespace memtool {

class Leak final : public Bookkeeper {
 public:
  static constexpr AdaptorInfo info{
      .name = "leak",
      .summary = "Reports what is still live at the end, grouped by size, with the operations that allocated it.",
      .source = "Hastings, Joyce: Purify: fast detection of memory leaks and access errors, USENIX Winter 1992",
      .cost = "a hash table entry a live block",
      .when = "workloads that must end with nothing left, recorded programs above all",
      .keeps_books = true,
  };
  static std::unique_ptr<AnyHeap> open(std::unique_ptr<AnyHeap> below, const Parameters&, Findings& findings) {
    return std::make_unique<Leak>(std::move(below), findings);
  }

  using Bookkeeper::Bookkeeper;

  // An operation's number is that of an event of the trace: who asked for the block can be looked up there.
  void report(std::string& json) const override {
    below().report(json);
    std::map<std::size_t, std::vector<std::uint64_t>> by_size;
    for (const auto& [block, entry] : book().live()) by_size[entry.size].push_back(entry.operation);
    std::vector<std::pair<std::size_t, std::vector<std::uint64_t>>> groups(by_size.begin(), by_size.end());
    std::ranges::stable_sort(groups, std::greater{},
                             [](const auto& group) { return group.first * group.second.size(); });

    JsonWriter out;
    out.raw(json.empty() ? "" : ",").key("leak").raw("{").key("blocks").number(book().live().size());
    out.raw(",").key("bytes").number(book().live_bytes()).raw(",").key("sizes").number(groups.size());
    out.raw(",").key("groups").raw("[");
    groups.resize(std::min(groups.size(), kMostGroups));
    for (auto& [size, operations] : groups) {
      std::ranges::sort(operations);
      out.raw(&size == &groups.front().first ? "" : ",").raw("{").key("size").number(size);
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
