"""Objects, from a workload file to figures that are known by hand: counts of constructors, blocks and bytes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import memtool
from memtool.errors import InputError
from memtool.model import CellResult, Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.run import bench

PARTICLES = """\
name: {name}
construct: {{type: {type}, objects: 64, rounds: 2, array: 16}}
"""
THING = """\
#include <memtool.h>
static void construct(void* at) { *(uint64_t*)at = 1; }
static void destroy(void* at) { *(uint64_t*)at = 0; }
static uint64_t use(void* at) { return ++*(uint64_t*)at; }
static const memtool_type kThing = {
  MEMTOOL_TYPE_ABI, sizeof(memtool_type), "thing", %s, %s, construct, destroy, use, 0};
const memtool_type* memtool_get_type(void) { return &kThing; }
"""


def run(folder: Path, *workloads: str, allocators: str) -> dict[tuple[str, str], CellResult]:
    options = BenchOptions(
        workloads=workloads,
        allocators=allocators,
        passes=(Pass.CHECK, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT),
        blocks=1,
        cold=True,
        output=folder / "out",
        draw_plots=False,
    )
    cells = bench(options, lambda *_: None).run.cells
    return {(cell.cell.workload, cell.cell.allocator): cell for cell in cells}


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], CellResult]:
    """Return all rows of particles and of aligned objects over a pool, an arena and glibc."""
    folder = tmp_path_factory.mktemp("objects")
    for type_ in ("particle", "aligned-64"):
        (folder / f"{type_}.yaml").write_text(PARTICLES.format(name=type_, type=type_), encoding="utf-8")
    names = [str(folder / f"{type_}.yaml") for type_ in ("particle", "aligned-64")]
    return run(folder, *names, allocators="segregated-pool,arena:chunk=4KiB,glibc")


def test_every_row_is_measured_or_left_out_for_a_reason(cells: dict[tuple[str, str], CellResult]) -> None:
    assert {key: cell.reason for key, cell in cells.items() if cell.status is Status.FAILED} == {}
    left_out = {label for (_, label), cell in cells.items() if cell.status is Status.EXCLUDED}
    assert left_out == {f"{name}@{way}" for name in ("segregated-pool", "glibc") for way in ("dropped", "forgotten")}
    # Two ways need no allocator; three allocators have twelve others each.
    assert len(cells) == 2 * (2 + 3 * 12)


@pytest.mark.parametrize(
    ("way", "constructions", "destructions", "blocks", "asked"),
    [
        ("in-place", 1, 1, 0, 0),
        ("stack-buffer", 1, 1, 0, 0),
        ("segregated-pool@memory", 0, 0, 1, 48),
        ("segregated-pool@placement", 1, 1, 1, 48),
        ("segregated-pool@new", 1, 1, 1, 48),
        ("segregated-pool@reset", 1, 1, 1, 48),
        ("arena:chunk=4KiB@dropped", 1, 1, 1, 48),
        ("arena:chunk=4KiB@forgotten", 1, 0, 1, 48),
        ("glibc@unique-ptr", 1, 1, 1, 48),
        # A count in a block of its own: two counts of 4 B, a table of functions, and the pointer.
        ("glibc@shared-ptr", 1, 1, 2, 48 + 24),
        # The table and the counts before the object.
        ("glibc@make-shared", 1, 1, 1, 16 + 48),
        # A count of 4 B behind the object, up to the next 8.
        ("glibc@intrusive-count", 1, 1, 1, 48 + 8),
        # The length before 16 objects; none where nobody needs it.
        ("glibc@array-new", 1, 1, 1 / 16, (16 * 48 + 8) / 16),
        ("glibc@uninitialized", 1, 1, 1 / 16, 48),
    ],
)
def test_what_an_object_takes_is_known_by_hand(
    cells: dict[tuple[str, str], CellResult],
    way: str,
    constructions: float,
    destructions: float,
    blocks: float,
    asked: float,
) -> None:
    metrics = cells["particle", way].metrics
    names = ("constructions_per_object", "destructions_per_object", "blocks_per_object", "asked_per_object_bytes")
    assert [metrics[name].value for name in names] == [constructions, destructions, blocks, asked]


def test_an_arena_takes_what_its_objects_are(cells: dict[tuple[str, str], CellResult]) -> None:
    for way, footprint in (("particle", 4096), ("aligned-64", 4096)):
        assert cells[way, "arena:chunk=4KiB@dropped"].metrics["peak_footprint_bytes"].value == footprint
    assert cells["particle", "glibc@new"].metrics["peak_footprint_bytes"].value is None


def test_parts_are_timed_and_the_check_says_what_balanced(cells: dict[tuple[str, str], CellResult]) -> None:
    placed = cells["particle", "segregated-pool@placement"]
    assert placed.proof["objects_checked"] == {"constructions": 64, "destructions": 64, "blocks": 64, "thrown": 3}
    assert {"time_per_op_ns", "make_ns", "use_ns", "end_ns", "construct_step_ns"} <= placed.metrics.keys()
    assert "construct_step_ns" not in cells["particle", "segregated-pool@new"].metrics
    routes = {way: cells["particle", f"segregated-pool@{way}"].call for way in ("placement", "new")}
    assert {way: call.route for way, call in routes.items() if call is not None} == {
        "placement": "inlined",
        "new": "pointer",
    }
    assert cells["particle", "in-place"].call is None


def built(folder: Path, size: str, alignment: str) -> Path:
    source, library = folder / "thing.c", folder / "libthing.so"
    source.write_text(THING % (size, alignment), encoding="ascii")
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{memtool.get_include()}"]
    subprocess.run(["cc", *flags, "-o", str(library), str(source)], check=True)
    return library


def test_a_type_of_ones_own(tmp_path: Path) -> None:
    built(tmp_path, "96", "32")
    path = tmp_path / "things.yaml"
    path.write_text(PARTICLES.format(name="things", type="./libthing.so"), encoding="utf-8")
    cells = {label: cell for (_, label), cell in run(tmp_path, str(path), allocators="tlsf,arena").items()}
    assert {label: cell.reason for label, cell in cells.items() if cell.status is Status.FAILED} == {}
    for label in ("in-place", "tlsf@placement", "tlsf@reset", "arena@dropped"):
        assert cells[label].metrics["constructions_per_object"].value == 1.0
    assert cells["tlsf@placement"].metrics["asked_per_object_bytes"].value == 96.0
    assert cells["tlsf@new"].reason == "needs the type in C++; of one in a library it has the size and the functions"
    assert cells["arena@forgotten"].reason == "would lose what the type's destructor gives back; dropped runs it"


def test_a_library_that_brings_no_type(tmp_path: Path) -> None:
    path = tmp_path / "things.yaml"
    path.write_text(PARTICLES.format(name="things", type="./libthing.so"), encoding="utf-8")
    with pytest.raises(InputError, match=r"things.yaml: construct.type: ./libthing.so: no such file$"):
        run(tmp_path, str(path), allocators="tlsf")
    built(tmp_path, "40", "24")
    with pytest.raises(InputError, match=r"./libthing.so: its alignment must be a power of two, is 24$"):
        run(tmp_path, str(path), allocators="tlsf")
