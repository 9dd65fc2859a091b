"""Allocators that a user brings, measured: what the proof says of them, and what their faults cost."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

import memtool
from tests.conftest import ROOT
from tests.started import run_memtool

WORKLOAD = """\
name: small
allocations: 2k
objects: [{size: {uniform: [16, 400]}, lifetime: {exponential: {mean: 50}}}]
"""
PYTHON = '''
class Bump:
    """Hands memory out upwards."""
    free_order = "reset"
    def __init__(self, region):
        self.region = region
        self.calls = 0
    def allocate(self, size, alignment):
        self.calls += 1
        return self.region.grow((size + 15) // 16 * 16)
    def deallocate(self, offset, size, alignment):
        pass

class Raises(Bump):
    def deallocate(self, offset, size, alignment):
        if self.calls == 100:
            raise KeyError(size)

class Escapes(Bump):
    def allocate(self, size, alignment):
        offset = super().allocate(size, alignment)
        return offset if self.calls != 100 else self.region.used

class Forgets(Bump):
    def allocate(self, size, alignment):
        return "here"

class Overlaps(Bump):
    def allocate(self, size, alignment):
        offset = super().allocate(size, alignment)
        return offset if self.calls != 100 else 0

class Broken(Bump):
    def check(self):
        assert self.calls < 100, "more than a hundred calls"
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("own")
    (made / "small.yaml").write_text(WORKLOAD)
    (made / "mine.py").write_text(PYTHON)
    for name, *macros in (
        ("libstep.so",),
        ("libscoped.so", "-DSCOPED"),
        ("libcrash.so", "-DCRASHES"),
        ("libstretched.so", "-DUSABLE=4*size"),
        ("libendless.so", "-DUSABLE=(size_t)-1"),
    ):
        source = ROOT / "tests/native/fixtures/own.c"
        flags = ["-shared", "-fPIC", "-O1", "-Wl,--build-id=0x0123abcd", *macros]
        subprocess.run(["cc", *flags, f"-I{memtool.get_include()}", "-o", made / name, source], check=True)
    return made


def bench(folder: Path, allocators: str, environment: dict[str, str], *options: str) -> tuple[int, dict[str, Any], str]:
    """Return exit code, cells by allocator, and what was printed."""
    out = Path(tempfile.mkdtemp(dir=folder)) / "out"
    ended = run_memtool(
        *("bench", "small.yaml", "-a", allocators, "--blocks", "1", "--no-plots", "-o", out, *options),
        environment={**environment, "PYTHONPATH": str(ROOT)},
        folder=folder,
    )
    content = json.loads((out / "run.json").read_text())
    return ended.returncode, {cell["allocator"]: cell for cell in content["cells"]}, ended.stdout


def test_libraries_and_classes_stand_beside_strategies(folder: Path, memtool_environment: dict[str, str]) -> None:
    names = "./libstep.so:step=16|64,./libscoped.so,mine.py:Bump,bump"
    code, cells, printed = bench(folder, names, memtool_environment)
    assert (code, {cell["status"] for cell in cells.values()}) == (0, {"ok"})
    proofs = {name: cell["proof"] for name, cell in cells.items()}
    for name in ("./libstep.so:step=16", "./libstep.so:step=64", "./libscoped.so"):
        file = name.partition(":")[0].removeprefix("./")
        assert (proofs[name]["library"], proofs[name]["library_build_id"]) == (str(folder / file), "0123abcd")
    assert proofs["mine.py:Bump"]["interpreted"] is True
    assert proofs["mine.py:Bump"]["class"] == f"{folder / 'mine.py'}:Bump"
    assert "interpreted" not in proofs["bump"]
    footprints = {name: cell["metrics"]["peak_footprint_bytes"]["value"] for name, cell in cells.items()}
    assert footprints["mine.py:Bump"] == footprints["bump"]
    assert footprints["./libstep.so:step=64"] > footprints["./libstep.so:step=16"]
    # In every table in which it has a row.
    rows = [
        line.split() for line in printed.splitlines() if line.startswith("mine.py:Bump ") or " mine.py:Bump " in line
    ]
    assert len(rows) >= 2
    assert all(row[row.index("mine.py:Bump") + 1] == "(interpreted)" for row in rows)


def test_adaptors_stand_on_them(folder: Path, memtool_environment: dict[str, str]) -> None:
    names = "./libstep.so:step=32+lock,./libscoped.so+virtual,mine.py:Bump+lock"
    code, cells, _ = bench(folder, names, memtool_environment, "--passes", "check")
    assert (code, {name: cell["status"] for name, cell in cells.items()}) == (0, dict.fromkeys(names.split(","), "ok"))


def test_a_fault_costs_its_own_cell_and_is_named(folder: Path, memtool_environment: dict[str, str]) -> None:
    names = "./libcrash.so,mine.py:Raises,mine.py:Escapes,mine.py:Forgets,mine.py:Overlaps,mine.py:Broken,bump"
    code, cells, _ = bench(folder, names, memtool_environment, "--passes", "check")
    assert code == 1
    reasons = {name: str(cell["reason"]).removeprefix("check pass, block 0: ") for name, cell in cells.items()}
    line = 1 + PYTHON.splitlines().index("            raise KeyError(size)")
    assert reasons["bump"] == "None"
    assert reasons["./libcrash.so"] == "the worker was killed by SIGABRT"
    assert reasons["mine.py:Raises"].startswith("KeyError: ")
    assert reasons["mine.py:Raises"].endswith(f" ({folder / 'mine.py'}:{line}, in deallocate)")
    assert reasons["mine.py:Escapes"].startswith("ValueError: allocate(")
    assert reasons["mine.py:Escapes"].endswith(" bytes taken of its region")
    assert reasons["mine.py:Forgets"].startswith("TypeError: allocate(")
    assert reasons["mine.py:Forgets"].endswith("returned 'here': neither an offset nor None")
    assert reasons["mine.py:Overlaps"].startswith("event ")
    assert "overlapping blocks: " in reasons["mine.py:Overlaps"]
    assert reasons["mine.py:Broken"].endswith("its own check fails: more than a hundred calls")


@pytest.mark.parametrize("run_pass", ["check", "footprint"])
def test_a_lie_about_usable_sizes_fails_its_cell_in_words(
    folder: Path, memtool_environment: dict[str, str], run_pass: str
) -> None:
    names = "./libstretched.so,./libendless.so,./libstep.so"
    code, cells, _ = bench(folder, names, memtool_environment, "--passes", run_pass)
    assert code == 1
    assert (cells["./libstep.so"]["status"], cells["./libstep.so"]["reason"]) == ("ok", None)
    stretched, endless = (str(cells[name]["reason"]) for name in ("./libstretched.so", "./libendless.so"))
    if run_pass == "check":
        assert "usable_size() says" in stretched
        assert "usable_size() says 18446744073709551615 bytes of a block of " in endless
    else:
        assert re.search(r"usable_size\(\) sums up to \d+ bytes of live blocks in a footprint of \d+", stretched)
        assert re.search(r"usable_size\(\) sums up to \d+ bytes of live blocks", endless)
    assert not any("peak_granted_bytes" in cells[name]["metrics"] for name in ("./libstretched.so", "./libendless.so"))


def test_what_is_timed_is_guarded_as_well(folder: Path, memtool_environment: dict[str, str]) -> None:
    """A write to an address outside the region would bring the worker down before it could say why."""
    code, cells, _ = bench(folder, "mine.py:Escapes", memtool_environment, "--passes", "throughput")
    assert code == 1
    assert "outside the " in cells["mine.py:Escapes"]["reason"]


REPLACEMENT = r"""
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
static char* next;
static size_t refused;
__attribute__((constructor)) static void listen(void) {
  const char* said = getenv("MINE_REFUSES");
  if (said != NULL) refused = strtoul(said, NULL, 10);
}
void* aligned_alloc(size_t alignment, size_t size) {
  if (size != 0 && size == refused) return NULL;
  if (next == NULL) next = mmap(NULL, 1ul << 32, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (alignment < 16) alignment = 16;
  char* block = (char*)(((size_t)next + 16 + alignment - 1) & ~(alignment - 1));
  ((size_t*)block)[-1] = size;
  next = block + size;
  return block;
}
void* malloc(size_t size) { return aligned_alloc(16, size); }
void* calloc(size_t count, size_t size) { return malloc(count * size); }
void free(void* block) { (void)block; }
size_t malloc_usable_size(void* block) { return block == NULL ? 0 : ((size_t*)block)[-1]; }
void* memalign(size_t alignment, size_t size) { return aligned_alloc(alignment, size); }
int posix_memalign(void** to, size_t alignment, size_t size) { return (*to = aligned_alloc(alignment, size)) ? 0 : 12; }
void* realloc(void* block, size_t size) {
  void* fresh = malloc(size);
  size_t old = malloc_usable_size(block);
  if (fresh != NULL && block != NULL) memcpy(fresh, block, old < size ? old : size);
  return fresh;
}
"""


def test_a_malloc_of_ones_own_hears_its_own_variables(folder: Path, memtool_environment: dict[str, str]) -> None:
    (folder / "replacement.c").write_text(REPLACEMENT)
    flags = ["-shared", "-fPIC", "-O1", "-fno-builtin", "-o", "libmine.so", "replacement.c"]
    subprocess.run(["cc", *flags], cwd=folder, check=True)
    names = "./libmine.so,./libmine.so:env.MINE_REFUSES=777"
    (folder / "small.yaml").write_text("{name: one, allocations: 100, objects: [{size: 777, lifetime: 5}]}")
    try:
        # What the user's own environment sets is none of the library's business.
        environment = {**memtool_environment, "MINE_REFUSES": "777"}
        code, cells, _ = bench(folder, names, environment, "--passes", "check")
    finally:
        (folder / "small.yaml").write_text(WORKLOAD)
    silent, reporting = (cells[name] for name in names.split(","))
    assert (code, silent["status"], reporting["status"]) == (1, "ok", "failed")
    assert "777" in reporting["reason"]
