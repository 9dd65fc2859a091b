/* Forks while four threads allocate, again and again; each child allocates, too, and must come to its end. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static atomic_int is_over;

static void work(int rounds) {
  void* held[64] = {0};
  for (int round = 0; rounds == 0 ? !is_over : round < rounds; ++round) {
    void** one = &held[round % 64];
    free(*one);
    *one = malloc(16u + (unsigned)(round * 37) % 5000u);
    memset(*one, 1, 16);
  }
  for (int each = 0; each < 64; ++each) free(held[each]);
}

static void* run(void* none) {
  work(0);
  return none;
}

int main(void) {
  pthread_t threads[4];
  for (int each = 0; each < 4; ++each) pthread_create(&threads[each], NULL, run, NULL);
  for (int turn = 0; turn < 100; ++turn) {
    pid_t child = fork();
    if (child == 0) {
      work(2000);
      _exit(5);
    }
    int status;
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 5) return 1;
  }
  is_over = 1;
  for (int each = 0; each < 4; ++each) pthread_join(threads[each], NULL);
  return 0;
}
