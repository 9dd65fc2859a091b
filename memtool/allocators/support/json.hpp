// Writes JSON with one-line texts and whole numbers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "allocators/concept/strategy.hpp"

namespace memtool {

class JsonWriter {
 public:
  JsonWriter& raw(std::string_view text) {
    out_ += text;
    return *this;
  }
  JsonWriter& text(std::string_view value) {
    out_ += '"';
    for (const char character : value) {
      if (character == '"' || character == '\\') out_ += '\\';
      // The texts of an adopted allocator come from its author and may hold control characters.
      out_ += static_cast<unsigned char>(character) < 0x20 ? ' ' : character;
    }
    out_ += '"';
    return *this;
  }
  JsonWriter& key(std::string_view name) { return text(name).raw(":"); }
  JsonWriter& number(std::uint64_t value) {
    // Whole numbers below 2^53 are exact in JSON. The unlimited maximum becomes null.
    return value == kUnlimited ? raw("null") : raw(std::to_string(value));
  }
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  [[nodiscard]] std::string take() && { return std::move(out_); }

 private:
  std::string out_;
};

}  // namespace memtool
