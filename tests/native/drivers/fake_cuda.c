// A CUDA driver of its own, as libcuda.so.1, whose device is this process; it fails as its environment says.
//
//   DEVICES=0  there is none            MEMORY=N  bytes of the device
//   CALLS=N    the device goes away after so many allocations, frees, fills and copies
//   LOSES=N    each Nth fill leaves its last byte as it was
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

enum { DONE = 0, NO_MEMORY = 2, NO_DEVICE = 100, GONE = 719 };  // CUDA_ERROR_LAUNCH_FAILED

struct allocation {
  struct allocation* next;  // all of them, so that none counts as lost
  size_t bytes;
  unsigned char contents[];
};

static int thing;
static struct allocation* allocations;
static size_t used, calls, fills;

static int is_gone(void) {
  return ++calls > setting("CALLS", CALLS);
}

int cuInit(unsigned flags) {
  return flags == 0 && setting("DEVICES", 1) > 0 ? DONE : NO_DEVICE;
}
int cuDeviceGet(int* device, int index) {
  *device = index;
  return DONE;
}
int cuDeviceGetName(char* name, int bytes, int device) {
  (void)device;
  strncpy(name, "a fake device", (size_t)bytes);
  return DONE;
}
int cuDevicePrimaryCtxRetain(void** context, int device) {
  (void)device;
  *context = &thing;
  return DONE;
}
int cuCtxSetCurrent(void* context) {
  return context == &thing ? DONE : GONE;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
  if (is_gone()) return GONE;
  if (bytes > setting("MEMORY", SIZE_MAX) - used) return NO_MEMORY;
  struct allocation* made = calloc(1, sizeof *made + bytes);
  made->bytes = bytes;
  made->next = allocations;
  allocations = made;
  used += bytes;
  *address = (uintptr_t)made->contents;
  return DONE;
}
int cuMemFree_v2(uint64_t address) {
  if (is_gone()) return GONE;
  for (struct allocation** at = &allocations; *at != NULL; at = &(*at)->next) {
    struct allocation* freed = *at;
    if ((uintptr_t)freed->contents != address) continue;
    *at = freed->next;
    used -= freed->bytes;
    free(freed);
    return DONE;
  }
  abort();  // it was never given, or is freed twice
}
int cuMemAllocAsync(uint64_t* address, size_t bytes, void* stream) {
  return stream == NULL ? cuMemAlloc_v2(address, bytes) : GONE;
}
int cuMemFreeAsync(uint64_t address, void* stream) {
  return stream == NULL ? cuMemFree_v2(address) : GONE;
}
int cuMemsetD8_v2(uint64_t address, unsigned char value, size_t bytes) {
  if (is_gone()) return GONE;
  memset((void*)(uintptr_t)address, value, bytes - (++fills % setting("LOSES", SIZE_MAX) == 0));
  return DONE;
}
int cuMemcpyDtoH_v2(void* to, uint64_t address, size_t bytes) {
  if (is_gone()) return GONE;
  memcpy(to, (void*)(uintptr_t)address, bytes);
  return DONE;
}
