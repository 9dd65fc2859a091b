// The parameters of an allocator, and the values that a user gives to them.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace memtool {

inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

// One parameter. Values are unsigned integers. If a parameter has `choices` ("first|next|best"), the user writes one of
// the words, and the value is the index of that word.
struct ParameterInfo {
  std::string_view name;
  std::string_view summary;
  std::uint64_t default_value = 0;
  std::uint64_t minimum = 0;
  std::uint64_t maximum = kUnlimited;
  std::string_view unit = "bytes";  // bytes | count | choice
  std::string_view choices = {};
};

// The parameters of one cell. Every declared parameter has a value, given or default.
class Parameters {
 public:
  // `info` describes a strategy or an adaptor. `text` is "name=value,name=value" with plain decimal values or words of
  // a choice. Throws std::invalid_argument with one line that names the parameter and its range.
  template <class Info>
  Parameters(const Info& info, std::string_view text) : Parameters(info.name, info.parameters, text) {}
  // `owner` names the strategy or adaptor in error messages.
  Parameters(std::string_view owner, std::span<const ParameterInfo> declared, std::string_view text);

  // Returns the value of a declared parameter. Asking for an undeclared one is a programming error and throws
  // std::logic_error.
  [[nodiscard]] std::uint64_t operator[](std::string_view name) const;

  static constexpr std::size_t kMost = 16;

 private:
  std::span<const ParameterInfo> declared_;
  std::array<std::uint64_t, kMost> values_{};
};

}  // namespace memtool
