// An OpenCL driver of its own, as libOpenCL.so.1, whose device is this process: it does what the one program of
// memtool's asks for, and fails as its environment says.
//
//   PLATFORMS=0  no driver is installed      DEVICES=0  none has a device
//   MEMORY=N     bytes of the device         CALLS=N    the device goes away after so many commands and allocations
//   LOSES=N      each Nth fill leaves its last byte as it was
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// What it was built with, or the environment says.
#ifndef CALLS
#define CALLS SIZE_MAX
#endif
static size_t setting(const char* name, size_t otherwise) {
  const char* value = getenv(name);
  return value == NULL ? otherwise : strtoull(value, NULL, 10);
}

enum { DONE = 0, NO_DEVICE = -1, NO_MEMORY = -4, GONE = -36, NO_PLATFORM = -1001 };

struct buffer {
  struct buffer* next;  // all of them, so that none counts as lost
  size_t bytes;
  unsigned char contents[];
};
struct kernel {
  int checks;
  uint64_t arguments[5];
};

static int thing;  // stands for every object that has no contents
static struct buffer* buffers;
static size_t used, calls, fills;

static int is_gone(void) {
  return ++calls > setting("CALLS", CALLS);
}

int clGetPlatformIDs(uint32_t most, void** platforms, uint32_t* count) {
  if (setting("PLATFORMS", 1) == 0) return NO_PLATFORM;
  if (most > 0) platforms[0] = &thing;
  *count = 1;
  return DONE;
}
int clGetDeviceIDs(void* platform, uint64_t type, uint32_t most, void** devices, uint32_t* count) {
  (void)platform, (void)type, (void)most, (void)count;
  if (setting("DEVICES", 1) == 0) return NO_DEVICE;
  devices[0] = &thing;
  return DONE;
}
int clGetDeviceInfo(void* device, uint32_t what, size_t bytes, void* value, size_t* needed) {
  (void)device, (void)what, (void)needed;
  strncpy(value, "a fake device", bytes);
  return DONE;
}
void* clCreateContext(const void* properties, uint32_t count, void* const* devices, const void* told, void* data,
                      int* status) {
  (void)properties, (void)count, (void)devices, (void)told, (void)data;
  *status = DONE;
  return &thing;
}
void* clCreateCommandQueue(void* context, void* device, uint64_t properties, int* status) {
  (void)context, (void)device, (void)properties;
  *status = DONE;
  return &thing;
}
void* clCreateBuffer(void* context, uint64_t flags, size_t bytes, void* from, int* status) {
  (void)context, (void)flags, (void)from;
  *status = is_gone() ? GONE : bytes > setting("MEMORY", SIZE_MAX) - used ? NO_MEMORY : DONE;
  if (*status != DONE) return NULL;
  struct buffer* made = calloc(1, sizeof *made + bytes);
  made->bytes = bytes;
  made->next = buffers;
  buffers = made;
  used += bytes;
  return made;
}
int clReleaseMemObject(void* memory) {
  if (is_gone()) return GONE;
  for (struct buffer** at = &buffers; *at != NULL; at = &(*at)->next) {
    if (*at != memory) continue;
    *at = (*at)->next;
    used -= ((struct buffer*)memory)->bytes;
    free(memory);
    return DONE;
  }
  abort();  // it was never given, or is freed twice
}
int clEnqueueMigrateMemObjects(void* queue, uint32_t count, void* const* buffers_, uint64_t flags, uint32_t waits,
                               const void* events, void* event) {
  (void)queue, (void)count, (void)buffers_, (void)flags, (void)waits, (void)events, (void)event;
  return is_gone() ? GONE : DONE;
}
void* clCreateProgramWithSource(void* context, uint32_t count, const char** sources, const size_t* lengths,
                                int* status) {
  (void)context, (void)count, (void)sources, (void)lengths;
  *status = DONE;
  return &thing;
}
int clBuildProgram(void* program, uint32_t count, void* const* devices, const char* options, const void* told,
                   void* data) {
  (void)program, (void)count, (void)devices, (void)options, (void)told, (void)data;
  return is_gone() ? GONE : DONE;
}
void* clCreateKernel(void* program, const char* name, int* status) {
  static struct kernel fill, check = {.checks = 1};
  (void)program;
  *status = DONE;
  return strcmp(name, "check") == 0 ? &check : &fill;
}
int clSetKernelArg(void* kernel, uint32_t index, size_t bytes, const void* value) {
  memcpy(&((struct kernel*)kernel)->arguments[index], value, bytes);
  return DONE;
}
int clEnqueueNDRangeKernel(void* queue, void* launched, uint32_t dimensions, const size_t* offset, const size_t* global,
                           const size_t* local, uint32_t waits, const void* events, void* event) {
  (void)queue, (void)dimensions, (void)offset, (void)global, (void)local, (void)waits, (void)events, (void)event;
  if (is_gone()) return GONE;
  const struct kernel* kernel = launched;
  struct buffer* buffer = (struct buffer*)(uintptr_t)kernel->arguments[0];
  const uint64_t from = kernel->arguments[1], bytes = kernel->arguments[2];
  const unsigned char value = (unsigned char)(kernel->arguments[3] * 181 + 7);
  if (from > buffer->bytes || bytes > buffer->bytes - from) return GONE;  // a real one may do anything
  unsigned char* block = buffer->contents + from;
  if (kernel->checks) {
    uint32_t mismatches = 0;
    for (uint64_t i = 0; i < bytes; ++i) mismatches += block[i] != value;
    memcpy(((struct buffer*)(uintptr_t)kernel->arguments[4])->contents, &mismatches, sizeof mismatches);
  } else {
    memset(block, value, bytes - (++fills % setting("LOSES", SIZE_MAX) == 0));
  }
  return DONE;
}
int clEnqueueReadBuffer(void* queue, void* buffer, uint32_t blocks, size_t offset, size_t bytes, void* to,
                        uint32_t waits, const void* events, void* event) {
  (void)queue, (void)blocks, (void)waits, (void)events, (void)event;
  if (is_gone()) return GONE;
  memcpy(to, ((struct buffer*)buffer)->contents + offset, bytes);
  return DONE;
}
int clEnqueueWriteBuffer(void* queue, void* buffer, uint32_t blocks, size_t offset, size_t bytes, const void* from,
                         uint32_t waits, const void* events, void* event) {
  (void)queue, (void)blocks, (void)waits, (void)events, (void)event;
  if (is_gone()) return GONE;
  memcpy(((struct buffer*)buffer)->contents + offset, from, bytes);
  return DONE;
}
int clFinish(void* queue) {
  (void)queue;
  return is_gone() ? GONE : DONE;
}
