/* Uses one block of 64 KiB again and again: untouched, 40 times touched, 20 times with its pages returned. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { BYTES = 64 * 1024, PAGE = 4096 };

int main(void) {
  char* block = malloc(BYTES);
  char* const after = malloc(100); /* so that the freed block is not at the end of the heap */
  char* const first = block;
  free(block);
  for (int i = 0; i < 60; ++i) {
    block = malloc(BYTES);
    if (block != first) return 1;
    if (i < 40) {
      memset(block, 1, BYTES);
    } else {
      char* const page = (char*)(((uintptr_t)block + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
      if (madvise(page, BYTES - PAGE, MADV_DONTNEED) != 0) return 2;
    }
    free(block);
  }
  free(after);
  return 0;
}
