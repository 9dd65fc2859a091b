// From canonical events to the event image: dense recycled slots, and the head that a plan is made from.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/events.hpp"

namespace memtool {

class ImageBuilder {
 public:
  explicit ImageBuilder(Touch touch);
  // Events must come in order. Throws std::runtime_error with one line for a stream that cannot be (a free of a dead
  // object).
  void append(const TraceEvent* events, std::size_t count);
  // Writes head and words to a file descriptor. Throws std::system_error.
  void finish(int descriptor);
  [[nodiscard]] const ImageHeader& head() const noexcept { return head_; }

 private:
  static constexpr std::uint32_t kDead = ~std::uint32_t{0};
  static constexpr std::uint64_t kDefaultAlignment = std::uint64_t{1} << word::kDefaultLog2Alignment;
  struct Object {
    std::uint64_t size;
    std::uint32_t slot;
    std::uint8_t log2_alignment;
  };

  void allocate(const TraceEvent& event);
  void deallocate(const TraceEvent& event);
  void reallocate(const TraceEvent& event);
  void close_scope();
  void count_operation() noexcept;
  void grow(std::uint64_t size) noexcept;
  void note_order(std::uint64_t object) noexcept;
  Object& live_object(const TraceEvent& event);

  ImageHeader head_{};
  std::vector<std::uint64_t> words_;
  std::vector<Object> objects_;
  std::vector<std::uint32_t> free_slots_;     // reused youngest first
  std::vector<std::uint64_t> youngest_;       // live objects in order of birth, while frees are LIFO
  std::vector<std::size_t> open_scope_ends_;  // words that await the length of their scope's deallocations
  std::uint64_t live_bytes_ = 0;
  std::uint64_t live_objects_ = 0;
  bool in_epilogue_ = false;
};

}  // namespace memtool
