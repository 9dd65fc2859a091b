// Adopts an allocator at run time: verifies its table, and describes a defect in one line.
#include "engine/adopted/adopted.hpp"

#include <dlfcn.h>

#include <cstdio>
#include <string>

#include "engine/instruments/proof.hpp"
#include "engine/registry/entry.hpp"

namespace memtool {

Adopted& adopted() {
  static Adopted instance;
  return instance;
}
const StrategyInfo& AdoptedHeap::info = adopted().info;

namespace {

static_assert(Strategy<AdoptedHeap> && !Scoped<AdoptedHeap> && Scoped<ScopedAdoptedHeap>);

// Indexed by the values in memtool.h.
constexpr std::array kFreeOrders{FreeOrder::any, FreeOrder::lifo, FreeOrder::reset, FreeOrder::fifo};

// The address of the adopted library's code; null if the allocator does not come from a library.
const void* adopted_code = nullptr;

std::string_view text_or(const char* text, std::string_view otherwise) {
  return text == nullptr ? otherwise : std::string_view(text);
}

std::string missing_functions(const memtool_allocator& table) {
  std::string missing;
  const auto need = [&](bool there, const char* name) {
    if (!there) missing += (missing.empty() ? "" : ", ") + std::string(name);
  };
  need(table.create != nullptr, "create");
  need(table.destroy != nullptr, "destroy");
  need(table.allocate != nullptr, "allocate");
  need(table.deallocate != nullptr, "deallocate");
  return missing;
}

std::size_t choices_in(std::string_view choices) {
  return static_cast<std::size_t>(std::ranges::count(choices, '|')) + 1;
}

std::string wrong_with(const memtool_parameter& parameter) {
  if (parameter.name == nullptr || parameter.name[0] == '\0') return "a parameter has no name";
  const std::string name = std::string("parameter ") + parameter.name + ": ";
  const std::string_view unit = text_or(parameter.unit, "count");
  if (unit != "bytes" && unit != "count" && unit != "choice") return name + "its unit must be bytes, count or choice";
  if ((unit == "choice") != (parameter.choices != nullptr)) return name + "a choice has choices, and nothing else has";
  if (parameter.choices != nullptr && parameter.default_value >= choices_in(parameter.choices))
    return name + "its default is none of its choices";
  if (parameter.choices == nullptr &&
      (parameter.default_value < parameter.minimum || parameter.default_value > parameter.maximum))
    return name + "its default is out of its range";
  return {};
}

// Returns "" if the table can be adopted.
std::string wrong_with(const memtool_allocator& table) {
  if (table.name == nullptr || table.name[0] == '\0') return "its memtool_allocator has no name";
  if (const std::string missing = missing_functions(table); !missing.empty())
    return "its memtool_allocator lacks " + missing;
  if ((table.mark == nullptr) != (table.release == nullptr))
    return std::string("its memtool_allocator lacks ") + (table.mark == nullptr ? "mark" : "release");
  if (table.free_order >= kFreeOrders.size()) return "its free_order is unknown: " + std::to_string(table.free_order);
  if (table.parameter_count > Parameters::kMost)
    return "it has more than " + std::to_string(Parameters::kMost) + " parameters";
  if (table.parameter_count > 0 && table.parameters == nullptr) return "its parameters are missing";
  for (std::size_t i = 0; i < table.parameter_count; ++i)
    if (std::string wrong = wrong_with(table.parameters[i]); !wrong.empty()) return wrong;
  return {};
}

ParameterInfo info_of(const memtool_parameter& parameter) {
  const std::string_view choices = text_or(parameter.choices, {});
  return {.name = parameter.name,
          .summary = text_or(parameter.summary, {}),
          .default_value = parameter.default_value,
          .minimum = parameter.choices != nullptr ? 0 : parameter.minimum,
          .maximum = parameter.choices != nullptr ? choices_in(choices) - 1 : parameter.maximum,
          .unit = text_or(parameter.unit, "count"),
          .choices = choices};
}

// Returns "" if the table was adopted, otherwise the reason.
std::string adopt(const memtool_allocator* allocator) {
  if (allocator == nullptr) return "its memtool_get_allocator() returns nothing";
  if (allocator->abi != MEMTOOL_ALLOCATOR_ABI)
    return "it implements version " + std::to_string(allocator->abi) + " of memtool.h, and this memtool version " +
           std::to_string(MEMTOOL_ALLOCATOR_ABI) + ": compile it again";
  memtool_allocator table{};
  std::memcpy(&table, allocator, std::min<std::size_t>(allocator->struct_bytes, sizeof table));
  if (std::string wrong = wrong_with(table); !wrong.empty()) return wrong;
  Adopted& to = adopted();
  to.table = table;
  to.parameters.clear();
  for (std::size_t i = 0; i < table.parameter_count; ++i) to.parameters.push_back(info_of(table.parameters[i]));
  to.info = {.name = kAdoptedName,
             .family = "own",
             .summary = text_or(table.summary, {}),
             .source = text_or(table.source, {}),
             .complexity = text_or(table.complexity, {}),
             .when = text_or(table.when, {}),
             .parameters = to.parameters,
             .free_order = kFreeOrders[table.free_order],
             .uses_region = (table.flags & MEMTOOL_OWN_MEMORY) == 0,
             .thread_safe = (table.flags & MEMTOOL_THREAD_SAFE) != 0,
             .route = CallRoute::pointer};
  StrategyEntry entry = table.mark != nullptr ? make_entry<ScopedAdoptedHeap, MEMTOOL_INLINED>(0)
                                              : make_entry<AdoptedHeap, MEMTOOL_INLINED>(0);
  entry.abilities.allocates_zeroed = table.allocate_zeroed != nullptr;
  entry.abilities.reallocates = table.reallocate != nullptr;
  set_adopted(entry);
  return {};
}

std::uint32_t answer(const std::string& wrong, char* message) {
  std::snprintf(message, MEMTOOL_MESSAGE_BYTES, "%s", wrong.c_str());
  return wrong.empty() ? MEMTOOL_DONE : MEMTOOL_BAD_REQUEST;
}

}  // namespace

extern "C" {

uint32_t memtool_adopt_library(const char* path, char* message) {
  // Never closed, because the strategy exists until the end of the process.
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return answer(text_or(dlerror(), "it cannot be loaded").data(), message);
  void* symbol = dlsym(library, "memtool_get_allocator");
  if (symbol == nullptr) {
    answer("it does not define memtool_get_allocator", message);
    return MEMTOOL_WRONG;
  }
  adopted_code = symbol;
  return answer(adopt(reinterpret_cast<const memtool_allocator* (*)()>(symbol)()), message);
}

uint32_t memtool_adopt_table(const void* table, char* message) {
  adopted_code = nullptr;
  return answer(adopt(static_cast<const memtool_allocator*>(table)), message);
}

const char* memtool_adopted_name(void) {
  return text_or(adopted().table.name, "").data();
}

uint32_t memtool_adopted_owner(char* path, uint64_t path_bytes, char* build_id, uint64_t build_id_bytes) {
  return write_owner(adopted_code, path, path_bytes, build_id, build_id_bytes) ? 0 : 1;
}

}  // extern "C"
}  // namespace memtool
