/* Holds as many MiB as its first argument says, and so does, at the same time, a child for each further one.
 *
 * MEMTOOL_TEST_DETACHED: the children lead sessions of their own, and nobody waits for them.
 * Ends with the status of MEMTOOL_TEST_STATUS.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void touch(const char* mib) {
  const size_t bytes = (size_t)atol(mib) << 20;
  char* const memory = mmap(NULL, bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) _exit(100);
  memset(memory, 1, bytes);
}

int main(int count, char** arguments) {
  const int is_detached = getenv("MEMTOOL_TEST_DETACHED") != NULL;
  int ends[2];
  if (count < 2 || pipe(ends) != 0) return 100;
  touch(arguments[1]);
  for (int each = 2; each < count; ++each) {
    if (fork() != 0) continue;
    if (is_detached) setsid();
    touch(arguments[each]);
    (void)!write(ends[1], "x", 1);
    usleep(is_detached ? 600 * 1000 * 1000 : 900 * 1000);
    _exit(0);
  }
  char touched;
  for (int each = 2; each < count; ++each) (void)!read(ends[0], &touched, 1);
  while (!is_detached && wait(NULL) > 0) {
  }
  const char* const status = getenv("MEMTOOL_TEST_STATUS");
  return status == NULL ? 0 : atoi(status);
}
