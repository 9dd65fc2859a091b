"""A strategy as a malloc that a program preloads, in programs that do what programs do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.integration.test_recorder import programs  # noqa: F401  # a fixture
from verification.calls import library

FORKS = """\
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile int is_over = 0;

static void* churn(void* seed) {
  unsigned state = (unsigned)(size_t)seed;
  void* kept[64] = {0};
  while (!is_over) {
    state = state * 1664525u + 1013904223u;
    unsigned place = (state >> 8) % 64;
    free(kept[place]);
    kept[place] = malloc(1 + (state >> 16) % 2000);
  }
  for (int i = 0; i < 64; ++i) free(kept[i]);
  return NULL;
}

int main(void) {
  pthread_t threads[3];
  for (size_t i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, churn, (void*)(i + 1));
  for (int forks = 0; forks < 300; ++forks) {
    void* inherited = malloc(100);
    memset(inherited, 7, 100);
    pid_t child = fork();
    if (child == 0) {
      alarm(20);  /* a lock that nobody opens any more ends it by a signal */
      void* kept[200];
      for (int i = 0; i < 200; ++i) kept[i] = malloc(1 + 37 * i);
      for (int i = 0; i < 200; ++i) free(kept[i]);
      int is_whole = ((char*)inherited)[99] == 7;
      free(inherited);
      _exit(is_whole ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0) {
      printf("fork %d: status %d\\n", forks, status);
      return 1;
    }
    free(inherited);
  }
  is_over = 1;
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  puts("300 children, all well");
  return 0;
}
"""


@pytest.fixture(scope="module", params=["tlsf", "thread-spans"])
def preloaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return library(request.param, tmp_path_factory.mktemp("library"))


def test_a_program_forks_while_its_threads_allocate(preloaded: Path, tmp_path: Path) -> None:
    source, program = tmp_path / "forks.c", tmp_path / "forks"
    source.write_text(FORKS)
    subprocess.run(["cc", "-O1", "-fno-builtin", "-pthread", "-o", program, source], check=True)
    ended = subprocess.run(
        [program],
        env={"PATH": os.defpath, "LD_PRELOAD": str(preloaded)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("300 children, all well\n", "", 0)


@pytest.mark.parametrize("program", ["every_function", "cpp_calls", "new_handlers", "threads_come_and_go"])
def test_a_library_of_ones_own_is_the_whole_interface(preloaded: Path, programs: Path, program: str) -> None:  # noqa: F811
    ended = subprocess.run(
        [programs / program],
        env={"PATH": os.defpath, "LD_PRELOAD": str(preloaded)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == ("", "", 0)
