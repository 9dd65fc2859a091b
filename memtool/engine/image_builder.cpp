#include "engine/image_builder.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace memtool {
namespace {

void write_all(int descriptor, const void* data, std::size_t bytes) {
  const auto* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = write(descriptor, at, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category(), "the event image cannot be written");
    at += written;
    bytes -= static_cast<std::size_t>(written);
  }
}

bool fits_short_form(std::uint64_t size, unsigned log2_alignment) {
  return size < std::uint64_t{1} << 32 && log2_alignment == word::kDefaultLog2Alignment;
}

std::uint64_t wide_word(std::uint64_t size, unsigned log2_alignment) {
  return size | std::uint64_t{log2_alignment} << 58;
}

}  // namespace

ImageBuilder::ImageBuilder(Touch touch) {
  head_.magic = ImageHeader::kMagic;
  head_.touch = static_cast<std::uint64_t>(touch);
  head_.smallest_size = ~std::uint64_t{0};
  head_.largest_alignment = kDefaultAlignment;
  head_.first_not_lifo = ~std::uint64_t{0};
}

void ImageBuilder::append(const TraceEvent* events, std::size_t count) {
  for (const TraceEvent* event = events; event != events + count; ++event) {
    switch (event->kind()) {
      case Kind::allocate:
      case Kind::allocate_zeroed:
        allocate(*event);
        break;
      case Kind::deallocate:
        deallocate(*event);
        break;
      case Kind::reallocate:
        reallocate(*event);
        break;
      case Kind::scope_begin:
        words_.push_back(word::make(Kind::scope_begin, 0, 0));
        ++head_.scopes;
        break;
      case Kind::scope_end:
        open_scope_ends_.push_back(words_.size());
        words_.push_back(0);
        break;
      case Kind::scope_closed:
        close_scope();
        break;
      case Kind::epilogue:
        head_.epilogue_word = words_.size();
        in_epilogue_ = true;
        break;
      default:
        break;
    }
  }
}

void ImageBuilder::close_scope() {
  if (open_scope_ends_.empty()) throw std::runtime_error("a scope is closed that was not ended");
  const std::size_t at = open_scope_ends_.back();
  open_scope_ends_.pop_back();
  words_[at] = static_cast<std::uint64_t>(Kind::scope_end) | (words_.size() - at - 1) << 4;
}

void ImageBuilder::count_operation() noexcept {
  ++(in_epilogue_ ? head_.epilogue_operations : head_.operations);
}

// Bytes asked for have grown: remembers the peak, and where it was first reached.
void ImageBuilder::grow(std::uint64_t size) noexcept {
  live_bytes_ += size;
  head_.total_bytes += size;
  head_.smallest_size = std::min(head_.smallest_size, size);
  head_.largest_size = std::max(head_.largest_size, size);
  if (live_bytes_ <= head_.peak_live_bytes) return;
  head_.peak_live_bytes = live_bytes_;
  head_.peak_live_word = words_.size();
}

void ImageBuilder::allocate(const TraceEvent& event) {
  if (event.object() != objects_.size())
    throw std::runtime_error("objects must be numbered in order of their allocation");
  std::uint32_t slot = static_cast<std::uint32_t>(head_.slots);
  if (!free_slots_.empty()) {
    slot = free_slots_.back();
    free_slots_.pop_back();
  } else if (++head_.slots > word::kMostSlots) {
    throw std::runtime_error("more than 2^28 objects are alive at once");
  }
  objects_.push_back({event.size(), slot, static_cast<std::uint8_t>(event.log2_alignment())});
  const bool zeroed = event.kind() == Kind::allocate_zeroed;
  if (fits_short_form(event.size(), event.log2_alignment())) {
    words_.push_back(word::make(event.kind(), slot, event.size()));
  } else {
    words_.push_back(word::make(zeroed ? Kind::allocate_zeroed_wide : Kind::allocate_wide, slot, 0));
    words_.push_back(wide_word(event.size(), event.log2_alignment()));
  }
  count_operation();
  ++head_.allocations;
  head_.largest_alignment = std::max(head_.largest_alignment, std::uint64_t{1} << event.log2_alignment());
  head_.peak_live_objects = std::max(head_.peak_live_objects, ++live_objects_);
  if (head_.first_not_lifo == ~std::uint64_t{0}) youngest_.push_back(event.object());
  grow(event.size());
}

ImageBuilder::Object& ImageBuilder::live_object(const TraceEvent& event) {
  if (event.object() >= objects_.size() || objects_[event.object()].slot == kDead)
    throw std::runtime_error("object " + std::to_string(event.object()) + " is freed or resized while it is not alive");
  return objects_[event.object()];
}

void ImageBuilder::deallocate(const TraceEvent& event) {
  Object& object = live_object(event);
  if (fits_short_form(object.size, object.log2_alignment)) {
    words_.push_back(word::make(Kind::deallocate, object.slot, object.size));
  } else {
    words_.push_back(word::make(Kind::deallocate_wide, object.slot, 0));
    words_.push_back(wide_word(object.size, object.log2_alignment));
  }
  note_order(event.object());
  if (!youngest_.empty()) youngest_.pop_back();
  live_bytes_ -= object.size;
  --live_objects_;
  free_slots_.push_back(object.slot);
  object.slot = kDead;
  count_operation();
}

// Whether only the youngest live object is ever freed or resized, which a stack needs. Known until the first that is
// not; the epilogue counts: a stack would have to serve it too.
void ImageBuilder::note_order(std::uint64_t object) noexcept {
  if (head_.first_not_lifo != ~std::uint64_t{0}) return;
  if (!youngest_.empty() && youngest_.back() == object) return;
  head_.first_not_lifo = head_.operations + head_.epilogue_operations;
  youngest_ = {};
}

void ImageBuilder::reallocate(const TraceEvent& event) {
  Object& object = live_object(event);
  words_.push_back(word::make(Kind::reallocate, object.slot, 0));
  words_.push_back(wide_word(event.size(), object.log2_alignment));
  words_.push_back(object.size);
  note_order(event.object());
  live_bytes_ -= object.size;
  object.size = event.size();
  count_operation();
  ++head_.reallocations;
  grow(event.size());
}

void ImageBuilder::finish(int descriptor) {
  if (!in_epilogue_) head_.epilogue_word = words_.size();
  if (head_.smallest_size == ~std::uint64_t{0}) head_.smallest_size = 0;
  head_.words = words_.size();
  write_all(descriptor, &head_, sizeof head_);
  write_all(descriptor, words_.data(), words_.size() * sizeof(std::uint64_t));
}

}  // namespace memtool
