"""memtool run: real programs with strategies for their malloc behave, print and end as they do with the system's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from memtool.allocators.registry import Registry
from memtool.allocators.spec import parse_allocators
from memtool.preload import call_sites, launch
from tests.conftest import ROOT
from tests.integration.test_recorder import programs  # noqa: F401  # a fixture
from tests.started import run_memtool

STRATEGIES = (
    *("thread-spans", "thread-cache", "thread-heaps", "segregated-pool"),
    *("tlsf", "buddy", "first-fit", "slab", "half-fit"),
)


def memtool_run(allocator: str, *program: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return run_memtool("run", *options, "-a", allocator, "--", *program, timeout=300)


def environment_of(allocator: str, **variables: str) -> dict[str, str]:
    known = Registry()
    (spec,) = parse_allocators(allocator, known.groups)
    plan = known.resolve(spec)
    return launch.environment(known.resolve(spec, as_malloc=plan.uses_region), {**os.environ, **variables})


def under(allocator: str, *program: str, **variables: str) -> tuple[int, str, str]:
    """Return (status, output, errors) of a program as `memtool run` starts it."""
    environment = environment_of(allocator, **variables)
    done = subprocess.run(program, capture_output=True, text=True, env=environment, timeout=300, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("allocator", [*STRATEGIES, "tlsf+guard", "glibc:tcache_count=0"])
def test_the_whole_interface(allocator: str, programs: Path) -> None:  # noqa: F811
    # errno, overflow, alignment, usable sizes, realloc, exceptions of new: as the C library has them.
    for program in ("every_function", "cpp_calls", "new_handlers"):
        assert under(allocator, str(programs / program)) == (0, "", "")


def test_a_plug_in_has_its_own_handlers_though_its_program_has_no_cpp_library(tmp_path: Path) -> None:
    plug_in = tmp_path / "libplug.so"
    source = ROOT / "tests/native/programs/new_handlers.cpp"
    subprocess.run(["c++", "-std=c++17", "-fno-builtin", "-shared", "-fPIC", "-o", plug_in, source], check=True)
    code = f"import ctypes, sys; sys.exit(ctypes.CDLL({str(plug_in)!r}).with_handlers())"
    assert under("thread-spans", sys.executable, "-I", "-c", code) == (0, "", "")


ALONE = "libmemtool-malloc-thread-spans.so"


@pytest.mark.parametrize(
    ("allocator", "library"),
    [
        ("thread-spans", ALONE),
        ("thread-spans:cached=4KiB", ALONE),
        ("thread-spans+track", "libmemtool-malloc.so"),
        ("tlsf", "libmemtool-malloc.so"),
    ],
)
def test_a_program_has_one_library_in_its_memory_and_not_the_cpp_library(allocator: str, library: str) -> None:
    status, maps, errors = under(allocator, "/bin/cat", "/proc/self/maps")
    assert (status, errors) == (0, "")
    files = {Path(line.split()[-1]).name for line in maps.splitlines() if " /" in line}
    assert {name for name in files if ".so" in name and not name.startswith(("libc.", "libm.", "ld-"))} == {library}


def test_a_strategy_alone_in_its_library_is_felt_little_by_a_small_program() -> None:
    # By far most of the pages of a small program are the C library's; mimalloc, which is C, takes 340 KiB more.
    def resident(allocator: str) -> int:
        status, memory, _ = under(allocator, "/bin/cat", "/proc/self/smaps_rollup")
        assert status == 0
        (line,) = (line for line in memory.splitlines() if line.startswith("Rss:"))
        return int(line.split()[1])

    assert resident("thread-spans") - resident("glibc") < 800


def test_a_strategy_alone_in_its_library_takes_parameters_and_says_what_its_heap_was_like(tmp_path: Path) -> None:
    assert memtool_run("thread-spans", build(tmp_path, "free(block);")).stderr.endswith(": a block is free twice\n")
    done = memtool_run("thread-spans:span=16MiB", build(tmp_path), options=("--stats",))
    footprint = re.search(r"footprint ([\d.]+) MiB, at most .* of books beside it, .* still live\n$", done.stderr)
    assert footprint is not None
    assert float(footprint[1]) >= 16


@pytest.mark.parametrize("allocator", ["thread-spans", "thread-cache", "thread-heaps", "tlsf", "thread-spans+track"])
def test_threads_come_and_go(allocator: str, programs: Path) -> None:  # noqa: F811
    assert under(allocator, str(programs / "threads_come_and_go")) == (0, "", "")


@pytest.mark.parametrize("allocator", ["tlsf", "thread-spans", "thread-cache", "thread-heaps", "buddy+redzone"])
def test_a_child_that_is_forked_while_others_allocate_comes_to_its_end(
    allocator: str,
    programs: Path,  # noqa: F811
) -> None:
    assert under(allocator, str(programs / "forks_beside_threads")) == (0, "", "")


@pytest.mark.parametrize("allocator", ["thread-spans", "tlsf", "tlsf+redzone"])
def test_address_space_may_be_limited(
    allocator: str,
    programs: Path,  # noqa: F811
) -> None:
    environment = environment_of(allocator)
    environment["PRELOADED"] = environment.pop("LD_PRELOAD")
    line = f'ulimit -v 220000; LD_PRELOAD="$PRELOADED" exec {programs}/threads_come_and_go'
    done = subprocess.run(["/bin/sh", "-c", line], capture_output=True, env=environment, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


SOURCE = """
import json, os, subprocess, sys, threading
texts = [json.dumps({"of": list(range(size)), "bytes": bytes(size).hex()}) for size in range(200)]
threads = [threading.Thread(target=lambda: [str(number) * 5 for number in range(5000)]) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
child = os.fork()
if child == 0: os._exit(len([str(number) for number in range(1000)]) // 100)
print(sum(map(len, texts)), os.waitpid(child, 0)[1] >> 8)
print(subprocess.run(["echo", "one more process"], capture_output=True, text=True).stdout, end="")
sys.exit(3)
"""


@pytest.mark.parametrize("allocator", STRATEGIES)
def test_python_with_threads_and_children(allocator: str) -> None:
    # 200 texts: 23 bytes each round list and bytes, 2 for each pair of digits, ", " between numbers, and the numbers.
    numbers = sum(len(str(number)) * (199 - number) + 2 * max(0, 198 - number) for number in range(199))
    length = 200 * 23 + 2 * sum(range(200)) + numbers
    python = (sys.executable, "-I", "-c", SOURCE)
    assert under(allocator, *python, PYTHONMALLOC="malloc") == (3, f"{length} 10\none more process\n", "")


def test_a_compiler_builds_the_same_object(tmp_path: Path) -> None:
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++ here")
    source = tmp_path / "words.cpp"
    source.write_text('#include <map>\n#include <string>\nstd::map<std::string, int> words() { return {{"a", 1}}; }\n')
    objects = []
    for allocator in ("glibc", "tlsf", "thread-cache"):
        made = tmp_path / f"{allocator}.o"
        assert under(allocator, compiler, "-O1", "-c", str(source), "-o", str(made)) == (0, "", "")
        objects.append(made.read_bytes())
    assert objects[0] == objects[1] == objects[2]


FAULTS = """\
#include <stdlib.h>
#include <string.h>
static char* make(size_t size) { return malloc(size); }
static void lose(int turn) { memset(calloc(1, turn < 2 ? 12345 : 500), 1, 500); }
int main(void) {
  for (int turn = 0; turn < 3; ++turn) lose(turn);
  char* block = make(10);
  FAULT
  free(block);
  return 0;
}
"""


def build(folder: Path, fault: str = "") -> str:
    source, program = folder / "faults.c", folder / "faults"
    source.write_text(FAULTS.replace("FAULT", fault))
    subprocess.run(["cc", "-g", "-O0", "-fno-builtin", "-w", "-o", str(program), str(source)], check=True)
    return str(program)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("memset(block, 65, 12);", "overrun of the block of 10 bytes at 0x* by 2 bytes"),
        ("block[-1] = 65;", "underrun of the block of 10 bytes at 0x* by 1 byte"),
        ("free(block);", "double free: the block of 10 bytes at 0x* was freed at operation 4 and again at operation 5"),
    ],
)
def test_red_zones_name_the_block_as_the_program_asked_for_it(tmp_path: Path, fault: str, words: str) -> None:
    done = memtool_run("tlsf+redzone", build(tmp_path, fault))
    assert done.returncode == 0
    # Three of lose(), then it.
    called = "(allocated at operation 3, called from make (faults.c:3))"
    before, _, after = words.partition("0x*")
    pattern = re.escape(before) + "0x[0-9a-f]+ " + re.escape(called) + re.escape(after)
    assert re.fullmatch(rf"memtool: process \d+: {pattern}(, found at operation 4)?\n", done.stderr), done.stderr


def test_the_whole_heap_is_verified_at_the_end_where_nobody_measures(tmp_path: Path) -> None:
    program = build(tmp_path, "block[10] = 65; return 0;")  # it is never freed
    assert ": overrun of the block of 10 bytes at 0x" in memtool_run("tlsf+redzone", program).stderr
    known = Registry()
    (spec,) = parse_allocators("tlsf+redzone", known.groups)
    report = tmp_path / "report"
    environment = launch.environment(known.resolve(spec, as_malloc=True), os.environ, report)
    assert subprocess.run([program], env=environment, timeout=300, check=False).returncode == 0
    (heap,) = launch.read_reports(report)
    assert heap.finding == ""


def test_leaks_are_said_with_who_asked_for_them(tmp_path: Path) -> None:
    done = memtool_run("tlsf+leak", build(tmp_path))
    lost = "2 × 12.1 KiB (operations 0, 1, called from lose (faults.c:4)), "
    lost += "1 × 500 B (operation 2, called from lose (faults.c:4))"
    assert done.returncode == 0
    assert done.stderr.partition(": leak: ")[2] == f"3 blocks of 24.6 KiB live at the end: {lost}\n"


def test_use_is_said_with_who_asked_for_most(tmp_path: Path) -> None:
    done = memtool_run("tlsf+track", build(tmp_path))
    assert done.stderr.endswith("; most bytes for lose (faults.c:4) (24.6 KiB in 3), make (faults.c:3) (10 B in 1)\n")


def test_without_the_programs_lines_a_call_site_is_where_it_lies_in_its_file() -> None:
    text = call_sites.named("called from [/none/libx.so+0x1a2b shown], [/none/app+0x44], [/none/libx.so+0x10]")
    assert text == "called from shown (libx.so+0x1a2b), app+0x44, libx.so+0x10"


def test_statistics_are_said_where_asked(tmp_path: Path) -> None:
    done = memtool_run("tlsf", "ls", str(tmp_path), options=("--stats",))
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert " of books beside it, " in line
    assert line.endswith(" still live")


@pytest.mark.parametrize(
    ("allocator", "words"),
    [
        ("pool", "pool: serves requests of up to 64 bytes, and programs ask for any"),
        ("stack", "stack: takes blocks back in one order only (lifo), and programs free in any"),
        ("null", "null: is a control: it hands out memory that is not the program's"),
        ("new-delete", "new-delete: stands on a malloc, and cannot be one"),
        ("tlfs", "-a: unknown allocator 'tlfs'; did you mean 'tlsf'?"),
        ("tlsf,slab", "-a: a program has one malloc, and 'tlsf,slab' stands for 2"),
    ],
)
def test_what_is_no_malloc_is_refused(allocator: str, words: str) -> None:
    done = memtool_run(allocator, "true")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"memtool: {words}\n")


def test_what_takes_no_preload_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "still.c"
    source.write_text("int main(void) { return 0; }\n")
    still = tmp_path / "still"
    subprocess.run(["cc", "-static", "-o", str(still), str(source)], check=True)
    sanitized = tmp_path / "sanitized"
    subprocess.run(["cc", "-fsanitize=address", "-o", str(sanitized), str(source)], check=True)
    script = tmp_path / "script"
    script.write_text(f"#!{still}\n")
    script.chmod(0o700)
    reasons = {
        still: "is linked statically: nothing can be preloaded into it",
        script: f"{still}, which runs it, is linked statically: nothing can be preloaded into it",
        sanitized: (
            "is built with a sanitizer (libasan.so.8), which brings an allocator of its own: take a build without"
        ),
        tmp_path / "none": "no such program",
        source: "is not executable",
    }
    for program, reason in reasons.items():
        done = memtool_run("tlsf", str(program))
        assert (done.returncode, done.stderr) == (2, f"memtool: {program}: {reason}\n")


def test_the_end_of_the_program_is_its_own() -> None:
    assert memtool_run("tlsf", "sh", "-c", "kill -9 $$").returncode == 128 + 9
    assert memtool_run("tlsf", "sh", "-c", "exit 42").returncode == 42
