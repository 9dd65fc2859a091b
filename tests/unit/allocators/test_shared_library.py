"""Libraries that a user brings: what is served, what is refused, and in which words."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from memtool.allocators.own import brought as own
from memtool.allocators.own import shared_library as module
from memtool.allocators.own.shared_library import NEEDED, library_plan
from memtool.errors import InputError
from memtool.model import AllocatorPlan, AllocatorSpec, Call

# A bump allocator over static memory, enough for a Python that starts and ends; the size stands before each block.
REPLACEMENT = """
#include <stddef.h>
#include <string.h>
static _Alignas(16) char heap[1 << 28];
static size_t used;
static void* take(size_t alignment, size_t size) {
  size_t begin = (used + 16 + alignment - 1) & ~(alignment - 1);
  if (begin + size > sizeof heap) return 0;
  *(size_t*)(heap + begin - 16) = size;
  used = (begin + size + 15) & ~(size_t)15;
  return heap + begin;
}
#ifdef ALLOCATE
void* malloc(size_t size) { return take(16, size); }
void free(void* block) { (void)block; }
void* aligned_alloc(size_t alignment, size_t size) { return take(alignment < 16 ? 16 : alignment, size); }
void* realloc(void* block, size_t size) {
  void* fresh = take(16, size);
  if (fresh && block) {
    size_t old = *(size_t*)((char*)block - 16);
    memcpy(fresh, block, old < size ? old : size);
  }
  return fresh;
}
#endif
#ifdef REST
void* calloc(size_t count, size_t size) { return memset(take(16, count * size), 0, count * size); }
size_t malloc_usable_size(void* block) { return *(size_t*)((char*)block - 16); }
#endif
#ifdef CRASHES
__attribute__((constructor)) static void crash(void) { __builtin_trap(); }
#endif
#ifdef HANGS
#include <unistd.h>
__attribute__((constructor)) static void hang(void) { for (;;) pause(); }
#endif
#ifdef EXITS
#include <unistd.h>
__attribute__((constructor)) static void leave(void) { _exit(0); }
#endif
#ifdef SPEAKS
#include <unistd.h>
__attribute__((constructor)) static void speak(void) {
  if (write(1, "\\xa9\\n", 2) + write(2, "\\xa9\\n", 2) != 4) __builtin_trap();
}
#endif
#ifdef FORKS
#include <unistd.h>
__attribute__((constructor)) static void leave_a_child(void) { if (fork() == 0) for (;;) pause(); }
#endif
int nothing(void) { return take(16, 1) != 0; }
"""
Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Return what builds the library with some of its parts."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("libraries")
    source = folder / "replacement.c"
    source.write_text(REPLACEMENT, encoding="ascii")

    def make(name: str, *parts: str) -> Path:
        path = folder / name
        flags = ["-shared", "-fPIC", "-O1", "-fno-builtin", *(f"-D{part}" for part in parts)]
        subprocess.run([compiler, *flags, "-o", path, source], check=True, capture_output=True)
        return path

    return make


def plan(path: Path) -> AllocatorPlan:
    return library_plan(AllocatorSpec(str(path)))


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        plan(path)
    return str(caught.value).removeprefix(f"allocators: {path}: ")


def test_a_replacement_is_preloaded_and_must_own_malloc(build: Build) -> None:
    path = build("libwhole.so", "ALLOCATE", "REST")
    assert plan(path) == AllocatorPlan(
        spec=AllocatorSpec(str(path)),
        strategy="malloc",
        engine_parameters="",
        preload=(str(path),),
        expected_owner="libwhole.so",
        family="library",
        exact=False,
        uses_region=False,
        thread_safe=True,
        call=Call(route="linker", free="bare", threads="any"),
        frees_bare=True,
    )


def test_a_relative_name_stays_the_columns_name(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build("librelative.so", "ALLOCATE", "REST")
    monkeypatch.chdir(path.parent)
    result = library_plan(AllocatorSpec("./librelative.so"))
    assert result.spec.label == "./librelative.so"
    assert result.preload == (str(path),)


def test_the_symbols_that_are_missing_are_named(build: Build) -> None:
    """Blocks of the C library's calloc would go to this library's free."""
    assert refusal(build("libhalf.so", "ALLOCATE")) == "does not define calloc, malloc_usable_size"


def test_a_library_that_is_about_something_else(build: Build) -> None:
    words = refusal(build("libother.so"))
    needed = ", ".join(NEEDED)
    assert words == f"defines neither memtool_get_allocator (memtool.h) nor what replaces malloc: {needed}"


def test_a_library_that_crashes_takes_memtool_not_with_it(build: Build) -> None:
    words = refusal(build("libcrash.so", "ALLOCATE", "REST", "CRASHES"))
    assert words in ("a process that preloads it dies of signal 4", "a process that preloads it dies of signal 5")


def test_a_library_that_never_lets_go(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PROBE_SECONDS", 1)
    monkeypatch.setattr(own, "TRIAL_SECONDS", 1)
    words = refusal(build("libhang.so", "ALLOCATE", "REST", "HANGS"))
    assert words == "a process that preloads it does not answer within 1 s"


def test_a_library_that_exits_when_it_is_loaded(build: Build) -> None:
    words = refusal(build("libexit.so", "ALLOCATE", "REST", "EXITS"))
    assert words == "a process that preloads it ends without an answer"


@pytest.mark.parametrize("rest", [("REST",), ()])
def test_what_a_library_writes_when_it_is_loaded_is_no_answer(build: Build, rest: tuple[str, ...]) -> None:
    # One byte that is no UTF-8 ended the whole bench; a line on standard output hid what a library leaves out.
    path = build(f"libspeak{len(rest)}.so", "ALLOCATE", "SPEAKS", *rest)
    if rest:
        assert plan(path).expected_owner == "libspeak1.so"
    else:
        assert refusal(path) == "does not define calloc, malloc_usable_size"


@pytest.mark.timeout(300)  # a trial that waits for the child waits for longer
def test_a_library_that_leaves_a_child_when_it_is_loaded_does_not_keep_memtool(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PROBE_SECONDS", 3600)
    monkeypatch.setattr(own, "TRIAL_SECONDS", 3600)
    assert plan(build("libfork.so", "ALLOCATE", "REST", "FORKS")).family == "library"


def test_what_is_no_library(tmp_path: Path) -> None:
    text = tmp_path / "libtext.so"
    text.write_text("not a library", encoding="ascii")
    assert refusal(text).startswith("cannot be preloaded (")
    assert refusal(tmp_path / "gone.so") == "no such file"
    assert refusal(tmp_path) == "is a folder, not a file"


def test_a_name_that_the_linker_would_cut(build: Build, tmp_path: Path) -> None:
    folder = tmp_path / "my allocators"
    folder.mkdir()
    copy = Path(shutil.copy(build("libspace.so", "ALLOCATE", "REST"), folder))
    assert "LD_PRELOAD ends a name at a space or a colon" in refusal(copy)


def test_a_malloc_replacement_has_no_parameters(build: Build) -> None:
    path = build("libplain.so", "ALLOCATE", "REST")
    with pytest.raises(InputError) as caught:
        library_plan(AllocatorSpec(str(path), (("grow", "1"),)))
    words = "a malloc replacement takes no parameters except env.NAME=value; a library by memtool.h can"
    assert str(caught.value) == f"allocators: {path}:grow=1: {words}"
