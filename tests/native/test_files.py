"""The kernel of files: every way in every pass, and a file that is truncated under it. With --sanitize under ASan."""

from __future__ import annotations

import os
import resource
import subprocess
from functools import partial
from pathlib import Path

import pytest

from memtool.engine.instruments.binding import ring_refusal
from memtool.kinds.file import place
from memtool.kinds.work import load_trace
from memtool.model import Mode
from tests.native.conftest import BuildDriver

PASSES = ("check", "throughput", "footprint", "latency")
FIRST = "verify_asan_link_order=0"
"""The sanitizer need not be the first library."""
HALVES = """\
static int turn;
static size_t less(size_t bytes) { return ++turn % 3 || bytes < 1024 ? bytes : bytes / 2; }
static int is_interrupted(void) { return turn % 5 == 0 ? errno = EINTR, 1 : 0; }
#define HALVED(name, type) \\
  ssize_t name(int file, type at, size_t bytes) { \\
    bytes = less(bytes); \\
    return is_interrupted() ? -1 : REAL(name)(file, at, bytes); \\
  }
#define HALVED_AT(name, type) \\
  ssize_t name(int file, type at, size_t bytes, off_t offset) { \\
    bytes = less(bytes); \\
    return is_interrupted() ? -1 : REAL(name)(file, at, bytes, offset); \\
  }
#define HALVED_VECTOR(name) \\
  ssize_t name(int file, const struct iovec* at, int count, off_t offset, int flags) { \\
    struct iovec part = {at->iov_base, less(at->iov_len)}; \\
    return is_interrupted() ? -1 : REAL(name)(file, &part, count, offset, flags); \\
  }
HALVED(read, void*)
HALVED(write, const void*)
HALVED_AT(pread, void*)
HALVED_AT(pwrite, const void*)
HALVED_VECTOR(preadv2)
HALVED_VECTOR(pwritev2)
"""
"""Each third call does half of what it is asked for, and each fifth is interrupted."""
TRUNCATES = """\
static int mapped = -1;
ssize_t pread(int file, void* at, size_t bytes, off_t offset) {
  if (bytes == 4096 && offset == 8192 && ftruncate(file, 8192) != 0) return -1;
  return REAL(pread)(file, at, bytes, offset);
}
void* mmap(void* at, size_t bytes, int allowed, int flags, int file, off_t offset) {
  if (file >= 0) mapped = file;
  return REAL(mmap)(at, bytes, allowed, flags, file, offset);
}
int madvise(void* at, size_t bytes, int advice) {
  if (advice == MADV_RANDOM && ftruncate(mapped, 8192) != 0) return -1;
  return REAL(madvise)(at, bytes, advice);
}
"""
"""The file is cut short where its third block is read by a call, or once it is mapped."""


def library(folder: Path, functions: str) -> Path:
    """Build a library with functions that come before those of the C library."""
    built = folder / "functions.so"
    headers = "#define _GNU_SOURCE\n" + "".join(
        f"#include <{name}.h>\n" for name in ("dlfcn", "errno", "unistd", "sys/mman", "sys/uio")
    )
    real = "#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))\n"
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(built), "-x", "c", "-"]
    subprocess.run(command, input=headers + real + functions, text=True, check=True)
    return built


@pytest.fixture(scope="session")
def kernels(build_driver: BuildDriver) -> Path:
    return build_driver("kernels", "asan")


def run(
    driver: Path,
    folder: Path,
    file: str,
    *,
    passes: str = "+".join(PASSES),
    most_bytes: int | None = None,
    preloaded: Path | None = None,
) -> list[str]:
    """Return the lines of all ways of a workload; ``most_bytes``: no file of the driver's may be longer."""
    workload, image = folder / "w.yaml", folder / "image"
    workload.write_text(f"name: w\nfile: {{folder: ., {file}}}\n", encoding="utf-8")
    with load_trace(str(workload), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
        image.write_bytes(Path(f"/proc/self/fd/{trace.image_fd}").read_bytes())
        ways = [
            way
            for way in trace.info.facts["ways"]
            if not (way.startswith("uring") and ring_refusal())
            if not (way.endswith("-direct") and place.ground(str(folder)).no_direct)
        ]
        command = [str(driver), "file", str(image), "", "", passes, *ways]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            # Python ignores SIGXFSZ, and so does what it starts: such a write fails.
            restore_signals=most_bytes is None,
            preexec_fn=None
            if most_bytes is None
            else partial(resource.setrlimit, resource.RLIMIT_FSIZE, (most_bytes,) * 2),
            env=os.environ | ({} if preloaded is None else {"LD_PRELOAD": str(preloaded), "ASAN_OPTIONS": FIRST}),
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "file",
    [
        "pattern: scan, size: 1MiB, block: 16KiB",
        "pattern: random-read, size: 1MiB, accesses: 300, depth: 7",
        "pattern: random-write, size: 1MiB, accesses: 100, sync: fdatasync, every: 50",
        "pattern: append, size: 1MiB, block: 64KiB, sync: fsync, every: 16",
    ],
)
def test_every_way_in_every_pass(kernels: Path, tmp_path: Path, file: str) -> None:
    lines = run(kernels, tmp_path, file)
    assert len(lines) >= 4 * 8
    assert {line.split(" ", 1)[1] for line in lines} == {f"{name}: 0" for name in PASSES}
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["image", "w.yaml"]


def test_a_log_that_outgrows_its_mapping(kernels: Path, tmp_path: Path) -> None:
    """A mapping of 16 MiB is made anew further on."""
    file = "pattern: append, size: 20MiB, block: 64KiB, ways: [mmap-shared, mmap-huge]"
    lines = run(kernels, tmp_path, file, passes="check+footprint")
    assert {line.split(" ", 1)[1] for line in lines} == {"check: 0", "footprint: 0"}


@pytest.mark.parametrize("pattern", ["random-read", "random-write", "append"])
def test_a_call_that_does_a_part_is_followed_by_one_that_does_the_rest(
    kernels: Path, tmp_path: Path, pattern: str
) -> None:
    reads = "read, pread, preadv2, pread-direct"
    ways = reads if pattern == "random-read" else "write, pwrite, pwritev2-dsync, pwrite-direct"
    file = f"pattern: {pattern}, size: 64KiB, ways: [{ways}]"
    lines = run(kernels, tmp_path, file, passes="check+footprint", preloaded=library(tmp_path, HALVES))
    assert len(lines) >= 3 * 2
    assert {line.split(" ", 1)[1] for line in lines} == {"check: 0", "footprint: 0"}


def test_a_write_that_cannot_be_finished_says_why(kernels: Path, tmp_path: Path) -> None:
    """Of the record at 96 KiB 4 KiB have room: a call does those, and the next one says what stands in its way."""
    file = "pattern: append, size: 1MiB, block: 16KiB, depth: 1"
    lines = run(kernels, tmp_path, file, passes="check", most_bytes=100 << 10)
    by_call = [line for line in lines if not line.startswith("mmap")]
    assert len(by_call) >= 3
    assert {line.split(" ", 1)[1] for line in by_call} == {"check: 3 a write at byte 98304: File too large"}
    mapped = {line.split(" ", 1)[1] for line in lines if line.startswith("mmap")}
    assert mapped == {"check: 3 ftruncate at byte 16793600: File too large"}


def test_a_disk_that_fills_while_the_file_is_made(kernels: Path, tmp_path: Path) -> None:
    lines = run(kernels, tmp_path, "pattern: scan, size: 1MiB, ways: [pread, mmap-shared]", most_bytes=100 << 10)
    words = "the file of the workload cannot be made: File too large after 102400 of 1048576 bytes"
    assert lines == [f"{way} {name}: 3 {words}" for way in ("pread", "mmap-shared") for name in PASSES]


@pytest.mark.parametrize("pattern", ["scan", "random-read", "random-write"])
def test_memory_in_place_of_a_device(kernels: Path, tmp_path: Path, pattern: str) -> None:
    for device in ("memfd", "/dev/zero"):
        workload = tmp_path / "w.yaml"
        workload.write_text(f"name: w\nfile: {{pattern: {pattern}, size: 1MiB, device: {device}}}\n", encoding="utf-8")
        with load_trace(str(workload), seed=None, threads=None, rate=None, mode=Mode.SERIAL) as trace:
            (tmp_path / "image").write_bytes(Path(f"/proc/self/fd/{trace.image_fd}").read_bytes())
            ways = trace.info.facts["ways"]
        command = [str(kernels), "file", str(tmp_path / "image"), "", "", "check+footprint", *ways]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        expected = [f"{way} {name}: 0" for way in ways for name in ("check", "footprint")]
        assert done.stdout.splitlines() == expected


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("pread", "a read at byte 8192 came to 0 of 4096 bytes: the file was truncated"),
        ("mmap-random", "SIGBUS at address 0x"),
    ],
)
def test_a_file_that_is_truncated_under_it_fails_with_words(
    kernels: Path, tmp_path: Path, way: str, words: str
) -> None:
    file = f"pattern: scan, size: 64KiB, ways: [{way}]"
    (line,) = run(kernels, tmp_path, file, passes="throughput", preloaded=library(tmp_path, TRUNCATES))
    assert line.startswith(f"{way} throughput: 3 {words}")
