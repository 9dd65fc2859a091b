// What of an allocator can be tuned, and the values that one of them is given.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace memtool {

inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};

// One tunable. Values are unsigned integers; a parameter with `choices` ("first|next|best") takes the words, and its
// value is the word's index.
struct ParameterInfo {
  std::string_view name;
  std::string_view summary;
  std::uint64_t default_value = 0;
  std::uint64_t minimum = 0;
  std::uint64_t maximum = kUnlimited;
  std::string_view unit = "bytes";  // bytes | count | choice
  std::string_view choices = {};
};

// The parameters of one cell: every declared parameter has a value, given or default.
class Parameters {
 public:
  // `text` is "name=value,name=value" with plain decimal values or choice words. Throws std::invalid_argument with
  // one line that names the parameter and its range.
  // `info` is a strategy's or an adaptor's.
  template <class Info>
  Parameters(const Info& info, std::string_view text) : Parameters(info.name, info.parameters, text) {}
  // `owner` is whose they are, for the complaint.
  Parameters(std::string_view owner, std::span<const ParameterInfo> declared, std::string_view text);

  // The value of a declared parameter; asking for an undeclared one is a programming error and throws std::logic_error.
  [[nodiscard]] std::uint64_t operator[](std::string_view name) const;

  static constexpr std::size_t kMost = 16;

 private:
  std::span<const ParameterInfo> declared_;
  std::array<std::uint64_t, kMost> values_{};
};

}  // namespace memtool
