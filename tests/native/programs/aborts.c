/* Asks for memory before main, and frees a block twice at last: the C library ends it. */
#include <stdlib.h>

__attribute__((constructor)) static void before_main(void) {
  for (int round = 0; round < 10; ++round) free(malloc(123));
}

int main(void) {
  for (int round = 0; round < 1000; ++round) free(malloc(100));
  void* block = malloc(24);
  free(block);
  free(block);
  return 0;
}
