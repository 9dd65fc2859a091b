#include "allocators/concept/parameters.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>
#include <string>

namespace memtool {
namespace {

std::string range_of(const ParameterInfo& parameter) {
  if (!parameter.choices.empty()) return "one of " + std::string(parameter.choices);
  std::string range = "from " + std::to_string(parameter.minimum);
  if (parameter.maximum != kUnlimited) range += " to " + std::to_string(parameter.maximum);
  return range;
}

// Returns the index of `word` in "a|b|c", or -1 if it is not there.
long choice_index(std::string_view choices, std::string_view word) {
  for (long index = 0; !choices.empty(); ++index) {
    const auto bar = choices.find('|');
    if (choices.substr(0, bar) == word) return index;
    choices = bar == std::string_view::npos ? std::string_view{} : choices.substr(bar + 1);
  }
  return -1;
}

std::uint64_t parse_value(const ParameterInfo& parameter, std::string_view text) {
  const auto complain = [&] {
    throw std::invalid_argument(std::string(parameter.name) + ": must be " + range_of(parameter) + ", is '" +
                                std::string(text) + "'");
  };
  if (!parameter.choices.empty()) {
    const long index = choice_index(parameter.choices, text);
    if (index < 0) complain();
    return static_cast<std::uint64_t>(index);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) complain();
  if (value < parameter.minimum || value > parameter.maximum) complain();
  return value;
}

}  // namespace

Parameters::Parameters(std::string_view owner, std::span<const ParameterInfo> declared, std::string_view text)
    : declared_(declared) {
  if (declared_.size() > kMost) throw std::logic_error(std::string(owner) + " declares too many parameters");
  for (std::size_t i = 0; i < declared_.size(); ++i) values_[i] = declared_[i].default_value;
  while (!text.empty()) {
    const auto comma = text.find(',');
    const std::string_view pair = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const auto equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    const auto parameter = std::ranges::find(declared_, name, &ParameterInfo::name);
    if (equals == std::string_view::npos || parameter == declared_.end())
      throw std::invalid_argument(std::string(owner) + " has no parameter '" + std::string(name) + "'");
    values_[static_cast<std::size_t>(parameter - declared_.begin())] = parse_value(*parameter, pair.substr(equals + 1));
  }
}

std::uint64_t Parameters::operator[](std::string_view name) const {
  for (std::size_t i = 0; i < declared_.size(); ++i)
    if (declared_[i].name == name) return values_[i];
  throw std::logic_error("undeclared parameter " + std::string(name));
}

}  // namespace memtool
