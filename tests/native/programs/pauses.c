/* Twenty times: a hundred blocks of 777 bytes, and a pause that the ticks of a word cannot hold. */
#include <stdlib.h>
#include <unistd.h>

int main(void) {
  for (int burst = 0; burst < 20; ++burst) {
    for (int i = 0; i < 100; ++i)
      if (malloc(777) == NULL) return 1;
    usleep(1000);
  }
  return 0;
}
