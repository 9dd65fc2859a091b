/* Allocates and frees in threads and in a forked child, and counts each call before and after it in a file, so that
 * what a recording must hold is known however the program ends: counts_calls FILE THREADS ROUNDS (0: until it is
 * killed). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 64, LINES = 2 * MOST };

/* By thread: calls begun, calls ended. The child's are behind those of its parent. */
static volatile uint64_t (*counts)[2];
static uint64_t rounds;

static void work(unsigned at) {
  void* held[16] = {0};
  uint64_t random = at + 1;
  for (uint64_t round = 0; rounds == 0 || round < rounds; ++round) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    void** one = &held[random >> 60];
    counts[at][0]++;
    if (*one == NULL) {
      *one = malloc(1 + (random >> 40 & 1023));
    } else {
      free(*one);
      *one = NULL;
    }
    counts[at][1]++;
  }
}

static void* run(void* at) {
  work((unsigned)(uintptr_t)at);
  return NULL;
}

int main(int count, char** words) {
  if (count < 4) return 2;
  int file = open(words[1], O_RDWR | O_CREAT, 0600);
  if (file < 0 || ftruncate(file, sizeof(uint64_t[LINES][2])) != 0) return 2;
  counts = mmap(NULL, sizeof(uint64_t[LINES][2]), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  unsigned threads = (unsigned)atoi(words[2]);
  rounds = (uint64_t)atoll(words[3]);
  pthread_t made[MOST];
  for (unsigned each = 1; each < threads; ++each) pthread_create(&made[each], NULL, run, (void*)(uintptr_t)each);
  if (fork() == 0) {
    work(MOST);
    _exit(0);
  }
  work(0);
  for (unsigned each = 1; each < threads; ++each) pthread_join(made[each], NULL);
  wait(NULL);
  return 7;
}
