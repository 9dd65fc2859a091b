// The C ABI for making traces and examining them without a replay: generator and image builders
// (engine/generate/binding.py), packer (engine/packing/binding.py). A message is one line in 400 bytes.
#pragma once

#include <cstdint>

#include "engine/events/events.hpp"
#include "engine/events/image_builder.hpp"
#include "engine/events/thread_image.hpp"

namespace memtool {

struct GeneratorHandle;
struct ImageHandle;
struct ThreadImageHandle;

struct PackingResult {
  std::uint64_t intervals;
  std::uint64_t load;
  std::uint64_t footprint;
};

extern "C" {
#pragma GCC visibility push(default)

GeneratorHandle* memtool_generator_open(const std::uint64_t* program, std::uint64_t words, char* message);
// The next events lie at *events until the next call. *count is 0 at the end.
std::uint32_t memtool_generator_next(GeneratorHandle* handle, const TraceEvent** events, std::uint64_t* count,
                                     char* message);
std::uint64_t memtool_generator_resizes_left_out(const GeneratorHandle* handle);
void memtool_generator_close(GeneratorHandle* handle);

// The image is written to `descriptor`, an empty, seekable file that stays open until the handle is closed.
ImageHandle* memtool_image_begin(std::uint32_t touch, int descriptor, char* message);
std::uint32_t memtool_image_append(ImageHandle* handle, const TraceEvent* events, std::uint64_t count, char* message);
// Completes the file and copies its header to `head`.
std::uint32_t memtool_image_complete(ImageHandle* handle, ImageHeader* head, char* message);
// Returns the number of marks and copies the positions of the first `most`.
std::uint64_t memtool_image_marks(const ImageHandle* handle, MarkPlace* places, std::uint64_t most);
// For all events so far: the sum of the live bytes after each operation before the epilogue, their peak before the
// first deallocation, and their peak after it.
void memtool_image_course(const ImageHandle* handle, double* live_sum, std::uint64_t* filled, std::uint64_t* refilled);
void memtool_image_close(ImageHandle* handle);

// Like the image above, but all events are read twice: by scan, then by append. `spool`: another empty file that stays
// open as long.
ThreadImageHandle* memtool_thread_image_begin(std::uint32_t touch, int descriptor, int spool, char* message);
std::uint32_t memtool_thread_image_scan(ThreadImageHandle* handle, const TraceEvent* events, std::uint64_t count,
                                        char* message);
std::uint32_t memtool_thread_image_append(ThreadImageHandle* handle, const TraceEvent* events, std::uint64_t count,
                                          char* message);
std::uint32_t memtool_thread_image_complete(ThreadImageHandle* handle, ThreadImageHeader* head, char* message);
void memtool_thread_image_close(ThreadImageHandle* handle);

// `offsets` has room for `count` figures, or is null. Returns 0, or 2 if memory is exhausted.
std::uint32_t memtool_pack(const std::uint64_t* lower, const std::uint64_t* upper, const std::uint64_t* size,
                           const std::uint64_t* alignment, std::uint64_t count, std::uint64_t work,
                           std::uint64_t* offsets, PackingResult* result);
// Packs the blocks of an event image. Returns 1 if there are more than `most`.
std::uint32_t memtool_pack_image(const void* image, std::uint64_t most, std::uint64_t work, PackingResult* result);

#pragma GCC visibility pop
}  // extern "C"

}  // namespace memtool
