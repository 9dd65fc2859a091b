/* More threads, one after another, than any heap keeps room for; each still allocates and frees while it ends. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_key_t at_end;

static void ends(void* held) {
  static const size_t sizes[] = {24, 1000, 40000};
  void* blocks[3];
  for (int each = 0; each < 3; ++each) {
    blocks[each] = malloc(sizes[each]);
    if (blocks[each] == NULL) abort();
    memset(blocks[each], each, sizes[each]);
  }
  free(held);
  for (int each = 0; each < 3; ++each) free(blocks[each]);
}

static void* run(void* inherited) {
  free(inherited);
  void* held = malloc(100);
  if (held == NULL) abort();
  pthread_setspecific(at_end, held);
  return malloc(200);
}

int main(void) {
  pthread_key_create(&at_end, ends);
  for (int turn = 0; turn < 5000; ++turn) {
    pthread_t thread;
    void* left;
    if (pthread_create(&thread, NULL, run, malloc(300)) != 0) return 1;
    pthread_join(thread, &left);
    if (left == NULL) return 2;
    free(left);
  }
  return 0;
}
