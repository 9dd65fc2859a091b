/* Asks for memory at the end of known chains of calls, in functions that keep no frame pointer. */
#define _GNU_SOURCE
#pragma GCC optimize("O2", "omit-frame-pointer")
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CALLED __attribute__((noipa))

/* What is done after each call keeps it from being the last, which would leave no frame. */
static volatile int done;

CALLED static void* inner(size_t size) {
  void* block = malloc(size);
  ++done;
  return block;
}

CALLED static void* middle(size_t size) {
  void* block = inner(size);
  ++done;
  return block;
}

CALLED static void outer(void) {
  for (int round = 0; round < 30; ++round) free(middle(100));
}

CALLED static void other(void) {
  for (int round = 0; round < 20; ++round) free(inner(200));
}

CALLED static void descend(int levels) {
  if (levels == 0)
    free(inner(300));
  else
    descend(levels - 1);
  ++done;
}

CALLED static void grow(void) {
  void* block = malloc(1);
  for (size_t size = 1000; size <= 5000; size += 1000) block = realloc(block, size);
  free(block);
}

static void* run(void* none) {
  for (int round = 0; round < 10; ++round) free(inner(400));
  return none;
}

/* Code that is made while the program runs, as a JIT compiler does it: no table says how to unwind it. */
CALLED static void call_made_code(void) {
#if defined(__x86_64__)
  unsigned char code[] = {0x48, 0x83, 0xec, 0x08, 0x48, 0xb8, 0,    0,    0,    0,   0,
                          0,    0,    0,    0xff, 0xd0, 0x48, 0x83, 0xc4, 0x08, 0xc3};
  void* (*asks)(size_t) = inner;
  memcpy(code + 6, &asks, sizeof asks); /* sub rsp, 8; mov rax, inner; call rax; add rsp, 8; ret */
  void* memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(memory, code, sizeof code);
  void* (*made)(size_t);
  memcpy(&made, &memory, sizeof made);
  for (int round = 0; round < 7; ++round) free(made(500));
#endif
}

int main(void) {
  outer();
  other();
  descend(40);
  grow();
  pthread_t thread;
  pthread_create(&thread, NULL, run, NULL);
  pthread_join(thread, NULL);
  call_made_code();
  return 3;
}
