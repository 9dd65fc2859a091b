/* Calls every function of the C allocator once, with sizes that tell them apart. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int main(void) {
  errno = 77;
  void* plain = malloc(101);
  void* zeroed = calloc(3, 67);
  void* grown = realloc(NULL, 303);
  grown = realloc(grown, 100003);
  void* array = reallocarray(NULL, 5, 81);
  void* posix = NULL;
  if (posix_memalign(&posix, 64, 506) != 0) return 1;
  void* aligned = aligned_alloc(128, 640);
  void* older = memalign(256, 707);
  void* page = valloc(808);
  void* pages = pvalloc(909);
  void* nothing = malloc(0);
  void* refused = malloc((size_t)1 << 60);
  if (refused != NULL || errno != ENOMEM) return 2;
  errno = 77;
  memset(grown, 1, 100003);
  if (malloc_usable_size(plain) < 101) return 3;
  free(plain);
  free(zeroed);
  free(grown);
  free(array);
  free(posix);
  free(aligned);
  free(older);
  free(page);
  free(pages);
  free(nothing);
  free(NULL);
  void* mapped = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  munmap(mapped, 1 << 20);
  return errno == 77 ? 0 : 4;
}
