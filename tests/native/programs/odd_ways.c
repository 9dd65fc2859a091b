/* Ways in which programs ask for memory that a recorder may not be ready for: odd_ways WAY. Ends with status 3. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kThreads = 400, kRounds = 20, kBlocks = 5 };

static void* kept;
__attribute__((constructor)) static void before_main(void) {
  kept = malloc(77);
}
__attribute__((destructor)) static void after_main(void) {
  free(kept);
  free(malloc(99));
}

static void* thread(void* given) {
  void* blocks[kBlocks];
  for (int round = 0; round < kRounds; ++round) {
    for (int i = 0; i < kBlocks; ++i) blocks[i] = malloc(1000);
    for (int i = 0; i < kBlocks; ++i) free(blocks[i]);
  }
  return given;
}

static int threads(void) {
  pthread_t all[kThreads];
  for (int i = 0; i < kThreads; ++i)
    if (pthread_create(&all[i], NULL, thread, NULL) != 0) return 1;
  for (int i = 0; i < kThreads; ++i) pthread_join(all[i], NULL);
  return 3;
}

/* A library that comes and goes, once bound to its own symbols first. */
static int libraries(void) {
  for (int round = 0; round < 10; ++round) {
    void* library = dlopen("libutil.so.1", RTLD_NOW | (round % 2 != 0 ? RTLD_DEEPBIND : 0));
    if (library == NULL) return 1;
    free(malloc(55));
    dlclose(library);
  }
  return 3;
}

/* What comes after has no preload. */
static int environment(void) {
  clearenv();
  free(malloc(55));
  execl("/bin/sh", "sh", "-c", "exit 3", (char*)NULL);
  return 1;
}

int main(int count, char** words) {
  if (count != 2) return 1;
  if (strcmp(words[1], "threads") == 0) return threads();
  return strcmp(words[1], "libraries") == 0 ? libraries() : environment();
}
