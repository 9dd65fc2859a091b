// The images of a trace in memory (engine/events/events.hpp, engine/events/thread_image.hpp).
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/abi/capi.h"
#include "engine/events/events.hpp"
#include "engine/events/thread_image.hpp"

namespace memtool {

inline const char* wrong_with_threads(const ReplayRequest& request) noexcept {
  const auto* head = static_cast<const ThreadImageHeader*>(request.image);
  if (request.image_bytes < sizeof(ThreadImageHeader) || head->magic != ThreadImageHeader::kMagic)
    return "not a thread image of this version";
  if (head->runs_offset + head->runs * sizeof(Run) != request.image_bytes)
    return "the thread image is shorter than it says";
  return nullptr;
}

// Returns what is wrong with the image of a request, or nullptr.
inline const char* wrong_with_image(const ReplayRequest& request) noexcept {
  if (request.mode != MEMTOOL_SERIAL) return wrong_with_threads(request);
  const auto* head = static_cast<const ImageHeader*>(request.image);
  if (request.image_bytes < sizeof(ImageHeader) || head->magic != ImageHeader::kMagic)
    return "not an event image of this version";
  if (head->words > (request.image_bytes - sizeof(ImageHeader)) / sizeof(std::uint64_t) ||
      head->epilogue_word > head->words)
    return "the event image is shorter than it says";
  return nullptr;
}

struct Image {
  explicit Image(const ReplayRequest& request) noexcept
      : head(*static_cast<const ImageHeader*>(request.image)),
        begin(
            reinterpret_cast<const std::uint64_t*>(static_cast<const std::byte*>(request.image) + sizeof(ImageHeader))),
        body(begin + head.begin_word),
        epilogue(begin + head.epilogue_word),
        end(begin + head.words) {}
  [[nodiscard]] Touch touch() const noexcept { return static_cast<Touch>(head.touch); }

  const ImageHeader& head;
  const std::uint64_t* begin;
  const std::uint64_t* body;  // the measured part; the words before it only warm the heap
  const std::uint64_t* epilogue;
  const std::uint64_t* end;
};

struct ThreadImage {
  explicit ThreadImage(const ReplayRequest& request) noexcept
      : bytes(static_cast<const std::byte*>(request.image)),
        is_on_disk(request.image_window != 0),
        head(*static_cast<const ThreadImageHeader*>(request.image)),
        lanes(reinterpret_cast<const LaneEntry*>(bytes + head.lanes_offset)),
        chunks(reinterpret_cast<const ChunkEntry*>(bytes + head.chunks_offset)),
        runs(reinterpret_cast<const Run*>(bytes + head.runs_offset)) {}
  [[nodiscard]] Touch touch() const noexcept { return static_cast<Touch>(head.touch); }

  const std::byte* bytes;
  bool is_on_disk;
  const ThreadImageHeader& head;
  const LaneEntry* lanes;
  const ChunkEntry* chunks;
  const Run* runs;
};

// The position of a lane in its words.
class Cursor {
 public:
  Cursor(const ThreadImage& image, const LaneEntry& lane) noexcept
      : image_(&image),
        first_chunk_(lane.first_chunk),
        chunk_(lane.first_chunk),
        chunks_end_(lane.first_chunk + lane.chunks) {
    open();
  }

  // The next words that are contiguous, at most `most`; empty at the end of the lane.
  struct Piece {
    const std::uint64_t* begin;
    const std::uint64_t* end;
  };
  [[nodiscard]] Piece piece(std::uint64_t most) noexcept {
    if (at_ == end_ && chunk_ < chunks_end_) {
      ++chunk_;
      open();
    }
    return {at_, at_ + std::min<std::uint64_t>(most, static_cast<std::uint64_t>(end_ - at_))};
  }
  // The next word, or the end of the contiguous words before it; nullptr if the lane has none.
  [[nodiscard]] const std::uint64_t* at() const noexcept { return at_; }
  // `to`: inside the piece, or its end.
  void move(const std::uint64_t* to) noexcept { at_ = to; }
  // Whether the lane ends before `next`, which lies inside the piece or is its end.
  [[nodiscard]] bool is_end(const std::uint64_t* next) const noexcept {
    return next == end_ && chunk_ + 1 >= chunks_end_;
  }

 private:
  void open() noexcept {
    at_ = end_ = nullptr;
    if (chunk_ >= chunks_end_) return;
    const ChunkEntry& chunk = image_->chunks[chunk_];
    if (image_->is_on_disk) advise();
    at_ = reinterpret_cast<const std::uint64_t*>(image_->bytes + chunk.offset);
    end_ = at_ + chunk.words;
  }

  // For an image on a disk: reads the next chunks ahead while this one is replayed, and drops the previous ones.
  [[gnu::noinline]] void advise() const noexcept {
    constexpr std::uint64_t kAhead = 2;
    for (std::uint64_t next = chunk_; next < std::min(chunk_ + kAhead, chunks_end_); ++next)
      advise(next, MADV_WILLNEED);
    if (chunk_ > first_chunk_) advise(chunk_ - 1, MADV_DONTNEED);
  }
  void advise(std::uint64_t chunk, int advice) const noexcept {
    constexpr std::uintptr_t kPage = 4096;
    const auto begin = reinterpret_cast<std::uintptr_t>(image_->bytes + image_->chunks[chunk].offset);
    const std::uintptr_t end = begin + image_->chunks[chunk].words * sizeof(std::uint64_t);
    madvise(reinterpret_cast<void*>(begin & ~(kPage - 1)), end - (begin & ~(kPage - 1)), advice);
  }

  const ThreadImage* image_;
  std::uint64_t first_chunk_;
  std::uint64_t chunk_;
  std::uint64_t chunks_end_;
  const std::uint64_t* at_ = nullptr;
  const std::uint64_t* end_ = nullptr;
};

}  // namespace memtool
