/* Forks with blocks that are live, again in the child: both free and resize what they have from those before them. */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCKS = 1000 };

static void* blocks[BLOCKS];

static void free_from(int begin, int end) {
  for (int each = begin; each < end; ++each) free(blocks[each]);
}

static int status_of(pid_t child) {
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static int grandchild(void) {
  free_from(300, 330);
  free_from(800, 1000);
  return 9;
}

static int child(void) {
  void* own[10];
  for (int each = 0; each < 10; ++each) own[each] = malloc(77);
  for (int each = 0; each < 300; ++each) free(blocks[each]);
  for (int each = 300; each < 320; ++each) blocks[each] = realloc(blocks[each], 256);
  pid_t forked = fork();
  if (forked == 0) _exit(grandchild());
  int status = status_of(forked);
  for (int each = 0; each < 10; ++each) free(own[each]);
  return status == 9 ? 8 : 1;
}

int main(void) {
  for (int each = 0; each < BLOCKS; ++each) blocks[each] = each == 999 ? aligned_alloc(256, 512) : malloc(64);
  for (int each = 900; each < 950; ++each) blocks[each] = realloc(blocks[each], 128);
  pid_t forked = fork();
  if (forked == 0) _exit(child());
  int status = status_of(forked);
  free_from(0, BLOCKS);
  return status == 8 ? 7 : 1;
}
