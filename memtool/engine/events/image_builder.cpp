#include "engine/events/image_builder.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "engine/events/output.hpp"

namespace memtool {
namespace {

constexpr std::size_t kBufferWords = std::size_t{1} << 17;
constexpr std::uint64_t kMostLiveBytes = std::uint64_t{1} << 62;

std::uint64_t offset_of_word(std::uint64_t index) {
  return sizeof(ImageHeader) + index * sizeof(std::uint64_t);
}

}  // namespace

ImageBuilder::ImageBuilder(Touch touch, int descriptor) : descriptor_(descriptor) {
  head_.magic = ImageHeader::kMagic;
  head_.touch = static_cast<std::uint64_t>(touch);
  head_.smallest_size = kNever;
  head_.largest_alignment = 1;
  head_.first_not_lifo = kNever;
  head_.first_not_fifo = kNever;
  buffer_.reserve(kBufferWords);
  // A header of zeroes takes its place for now, so that an unfinished file is not a valid image.
  write_at(descriptor_, std::array<char, sizeof(ImageHeader)>{}.data(), sizeof(ImageHeader), 0);
}

void ImageBuilder::append(const TraceEvent* events, std::size_t count) {
  for (const TraceEvent* event = events; event != events + count; ++event) {
    const std::uint64_t done = head_.operations;
    take(*event);
    if (head_.operations > done) live_sum_ += static_cast<double>(live_bytes_);
  }
}

void ImageBuilder::take(const TraceEvent& event) {
  switch (event.kind()) {
    case Kind::allocate:
    case Kind::allocate_zeroed:
      return allocate(event);
    case Kind::deallocate:
      return deallocate(event);
    case Kind::reallocate:
      return reallocate(event);
    case Kind::scope_begin:
      ++open_scopes_;
      ++head_.scopes;
      return put(word::make(Kind::scope_begin, 0, 0));
    case Kind::scope_end:
      return end_scope();
    case Kind::scope_closed:
      return close_scope();
    case Kind::write:
      return write(event);
    case Kind::mark:
      marks_.push_back({head_.operations, live_bytes_, flushed_ + buffer_.size()});
      ++head_.marks;
      return put(word::make(Kind::mark, event.object(), 0));
    case Kind::pace:
      return put(word::make_pace(event.object()));
    case Kind::begin:
      return begin();
    case Kind::thread_start:
    case Kind::thread_join:
      return;
    case Kind::epilogue:
      return begin_epilogue();
    default:
      throw std::runtime_error("an event of the unknown kind " + std::to_string(static_cast<unsigned>(event.kind())));
  }
}

// An object of 0 bytes cannot be written to.
void ImageBuilder::write(const TraceEvent& event) {
  const Object& object = objects_.live(event.object());
  if (object.size > 0) put(word::make(Kind::write, object.slot, event.size()));
}

void ImageBuilder::put(std::uint64_t word) {
  buffer_.push_back(word);
  if (buffer_.size() == kBufferWords) flush();
}

void ImageBuilder::flush() {
  write_at(descriptor_, buffer_.data(), buffer_.size() * sizeof(std::uint64_t), offset_of_word(flushed_));
  flushed_ += buffer_.size();
  buffer_.clear();
}

void ImageBuilder::put_sized(Kind kind, Kind wide, std::uint32_t slot, std::uint64_t size, unsigned log2_alignment) {
  const word::Sized words(kind, wide, slot, size, log2_alignment);
  for (std::size_t i = 0; i < words.count; ++i) put(words.words[i]);
}

void ImageBuilder::end_scope() {
  if (ended_scopes_.size() >= open_scopes_) throw std::runtime_error("a scope is ended that was not begun");
  ended_scopes_.push_back(flushed_ + buffer_.size());
  put(0);
}

void ImageBuilder::close_scope() {
  if (ended_scopes_.empty()) throw std::runtime_error("a scope is closed that was not ended");
  const std::uint64_t at = ended_scopes_.back();
  ended_scopes_.pop_back();
  --open_scopes_;
  const std::uint64_t after = flushed_ + buffer_.size();
  const std::uint64_t word = static_cast<std::uint64_t>(Kind::scope_end) | (after - at - 1) << 4;
  if (at >= flushed_) {
    buffer_[at - flushed_] = word;
  } else {
    write_at(descriptor_, &word, sizeof word, offset_of_word(at));
  }
}

void ImageBuilder::begin_epilogue() {
  if (in_epilogue_) throw std::runtime_error("a second epilogue");
  if (open_scopes_ > 0) throw std::runtime_error("a scope is still open where the epilogue begins");
  head_.epilogue_word = flushed_ + buffer_.size();
  in_epilogue_ = true;
}

// Every statement about a part of the run counts from here.
void ImageBuilder::begin() {
  if (head_.begin_word != 0 || in_epilogue_ || open_scopes_ > 0)
    throw std::runtime_error("what is measured begins twice, in the epilogue or within a scope");
  head_.begin_word = flushed_ + buffer_.size();
  head_.warm_operations = std::exchange(head_.operations, 0);
  head_.peak_live_bytes = live_bytes_;
  head_.peak_live_word = head_.begin_word;
  head_.peak_live_objects = live_objects_;
  live_sum_ = 0;
}

void ImageBuilder::count_operation() noexcept {
  ++(in_epilogue_ ? head_.epilogue_operations : head_.operations);
}

// Live bytes have grown. Updates the peak and the position at which it was first reached. Sizes are below 2^58, so an
// excessive sum is detected before it wraps. The total of requested bytes may be any number; it saturates.
void ImageBuilder::grow(std::uint64_t size) {
  live_bytes_ += size;
  if (live_bytes_ > kMostLiveBytes) throw std::runtime_error("more than 2^62 bytes are alive at once");
  if (__builtin_add_overflow(head_.total_bytes, size, &head_.total_bytes)) head_.total_bytes = kNever;
  head_.smallest_size = std::min(head_.smallest_size, size);
  head_.largest_size = std::max(head_.largest_size, size);
  if (freed_ > 0) refilled_ = std::max(refilled_, live_bytes_);
  if (live_bytes_ <= head_.peak_live_bytes) return;
  head_.peak_live_bytes = live_bytes_;
  head_.peak_live_word = flushed_ + buffer_.size();
}

std::uint32_t ImageBuilder::take_slot() {
  if (!free_slots_.empty()) {
    const std::uint32_t slot = free_slots_.back();
    free_slots_.pop_back();
    return slot;
  }
  if (head_.slots == word::kMostSlots) throw std::runtime_error("more than 2^28 objects are alive at once");
  return static_cast<std::uint32_t>(head_.slots++);
}

void ImageBuilder::allocate(const TraceEvent& event) {
  if (in_epilogue_) throw std::runtime_error("an allocation in the epilogue");
  Object& object = objects_.enter(event.object());
  object = {event.size(), take_slot(), static_cast<std::uint8_t>(event.log2_alignment())};
  const bool zeroed = event.kind() == Kind::allocate_zeroed;
  put_sized(event.kind(), zeroed ? Kind::allocate_zeroed_wide : Kind::allocate_wide, object.slot, event.size(),
            event.log2_alignment());
  count_operation();
  ++head_.allocations;
  head_.largest_alignment = std::max(head_.largest_alignment, std::uint64_t{1} << event.log2_alignment());
  head_.peak_live_objects = std::max(head_.peak_live_objects, ++live_objects_);
  if (head_.first_not_lifo == kNever) youngest_.push_back(event.object());
  grow(event.size());
}

void ImageBuilder::deallocate(const TraceEvent& event) {
  if (freed_ == 0) filled_ = head_.peak_live_bytes;
  const Object& object = objects_.live(event.object());
  put_sized(Kind::deallocate, Kind::deallocate_wide, object.slot, object.size, object.log2_alignment);
  note_lifo(event.object());
  note_fifo(event.object(), freed_++);
  if (!youngest_.empty()) youngest_.pop_back();
  live_bytes_ -= object.size;
  --live_objects_;
  free_slots_.push_back(object.slot);
  objects_.leave(event.object());
  count_operation();
}

// Whether only the youngest live object is ever freed or resized, as a stack requires. The test ends at the first
// exception. It covers the epilogue, which a stack would have to serve too.
void ImageBuilder::note_lifo(std::uint64_t object) noexcept {
  if (head_.first_not_lifo != kNever) return;
  if (!youngest_.empty() && youngest_.back() == object) return;
  head_.first_not_lifo = head_.warm_operations + head_.operations + head_.epilogue_operations;
  youngest_ = {};
}

// Whether objects are freed in the order of their birth and only the youngest is ever resized, as a ring requires:
// `object` is then always `expected`.
void ImageBuilder::note_fifo(std::uint64_t object, std::uint64_t expected) noexcept {
  if (head_.first_not_fifo == kNever && object != expected)
    head_.first_not_fifo = head_.warm_operations + head_.operations + head_.epilogue_operations;
}

void ImageBuilder::reallocate(const TraceEvent& event) {
  Object& object = objects_.live(event.object());
  put(word::make(Kind::reallocate, object.slot, 0));
  put(word::wide(event.size(), object.log2_alignment));
  put(object.size);
  note_lifo(event.object());
  note_fifo(event.object(), objects_.born() - 1);
  live_bytes_ -= object.size;
  object.size = event.size();
  count_operation();
  ++head_.reallocations;
  grow(event.size());
}

const ImageHeader& ImageBuilder::finish() {
  if (open_scopes_ > 0) throw std::runtime_error("a scope is still open at the end");
  if (live_objects_ > 0) throw std::runtime_error(std::to_string(live_objects_) + " objects are never freed");
  flush();
  head_.words = flushed_;
  if (!in_epilogue_) head_.epilogue_word = head_.words;
  if (head_.smallest_size == kNever) head_.smallest_size = 0;
  write_at(descriptor_, &head_, sizeof head_, 0);
  return head_;
}

}  // namespace memtool
