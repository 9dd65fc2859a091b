// The generator and the image builder for Python (engine/generate/binding.py).
#include "engine/abi/capi.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <vector>

#include "engine/events/image_builder.hpp"
#include "engine/events/thread_image.hpp"
#include "engine/events/trace_capi.hpp"
#include "engine/generate/generator.hpp"

namespace memtool {

struct GeneratorHandle {
  std::vector<std::uint64_t> program;
  std::unique_ptr<Generator> generator;
  std::vector<TraceEvent> events;
};

struct ImageHandle {
  ImageHandle(Touch touch, int descriptor) : builder(touch, descriptor) {}
  ImageBuilder builder;
};

struct ThreadImageHandle {
  ThreadImageHandle(Touch touch, int descriptor, int spool) : builder(touch, descriptor, spool) {}
  ThreadImageBuilder builder;
};

namespace {

constexpr std::size_t kMessageBytes = 400;

// Runs `work` and turns an exception into one line in `message`.
template <class Work>
std::uint32_t guarded(char* message, Work work) {
  try {
    work();
    return MEMTOOL_DONE;
  } catch (const std::bad_alloc&) {
    std::strncpy(message, "its events need more memory than there is", kMessageBytes);
    return MEMTOOL_BAD_REQUEST;
  } catch (const std::exception& problem) {
    std::strncpy(message, problem.what(), kMessageBytes - 1);
    message[kMessageBytes - 1] = '\0';
    return MEMTOOL_BAD_REQUEST;
  }
}

}  // namespace

extern "C" {

GeneratorHandle* memtool_generator_open(const std::uint64_t* program, std::uint64_t words, char* message) {
  std::unique_ptr<GeneratorHandle> handle;
  const std::uint32_t status = guarded(message, [&] {
    handle = std::make_unique<GeneratorHandle>();
    handle->program.assign(program, program + words);
    handle->generator = make_generator(handle->program.data(), words);
  });
  return status == MEMTOOL_DONE ? handle.release() : nullptr;
}

std::uint32_t memtool_generator_next(GeneratorHandle* handle, const TraceEvent** events, std::uint64_t* count,
                                     char* message) {
  return guarded(message, [&] {
    handle->events.clear();
    handle->generator->next(handle->events);
    *events = handle->events.data();
    *count = handle->events.size();
  });
}

std::uint64_t memtool_generator_resizes_left_out(const GeneratorHandle* handle) {
  return handle->generator->resizes_left_out();
}

void memtool_generator_close(GeneratorHandle* handle) {
  delete handle;
}

ImageHandle* memtool_image_begin(std::uint32_t touch, int descriptor, char* message) {
  std::unique_ptr<ImageHandle> handle;
  guarded(message, [&] { handle = std::make_unique<ImageHandle>(static_cast<Touch>(touch), descriptor); });
  return handle.release();
}

std::uint32_t memtool_image_append(ImageHandle* handle, const TraceEvent* events, std::uint64_t count, char* message) {
  return guarded(message, [&] { handle->builder.append(events, count); });
}

std::uint32_t memtool_image_complete(ImageHandle* handle, ImageHeader* head, char* message) {
  return guarded(message, [&] { *head = handle->builder.finish(); });
}

std::uint64_t memtool_image_marks(const ImageHandle* handle, MarkPlace* places, std::uint64_t most) {
  const std::vector<MarkPlace>& marks = handle->builder.marks();
  std::copy_n(marks.begin(), std::min<std::uint64_t>(most, marks.size()), places);
  return marks.size();
}

void memtool_image_course(const ImageHandle* handle, double* live_sum, std::uint64_t* filled, std::uint64_t* refilled) {
  *live_sum = handle->builder.live_sum();
  *filled = handle->builder.filled();
  *refilled = handle->builder.refilled();
}

void memtool_image_close(ImageHandle* handle) {
  delete handle;
}

ThreadImageHandle* memtool_thread_image_begin(std::uint32_t touch, int descriptor, int spool, char* message) {
  std::unique_ptr<ThreadImageHandle> handle;
  guarded(message, [&] { handle = std::make_unique<ThreadImageHandle>(static_cast<Touch>(touch), descriptor, spool); });
  return handle.release();
}

std::uint32_t memtool_thread_image_scan(ThreadImageHandle* handle, const TraceEvent* events, std::uint64_t count,
                                        char* message) {
  return guarded(message, [&] { handle->builder.scan(events, count); });
}

std::uint32_t memtool_thread_image_append(ThreadImageHandle* handle, const TraceEvent* events, std::uint64_t count,
                                          char* message) {
  return guarded(message, [&] { handle->builder.append(events, count); });
}

std::uint32_t memtool_thread_image_complete(ThreadImageHandle* handle, ThreadImageHeader* head, char* message) {
  return guarded(message, [&] { *head = handle->builder.finish(); });
}

void memtool_thread_image_close(ThreadImageHandle* handle) {
  delete handle;
}

}  // extern "C"
}  // namespace memtool
