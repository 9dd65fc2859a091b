"""Resident memory of mallocs, against what plain C++ programs of the same requests grow by.

The literals are VmHWM and smaps_rollup of such programs: malloc and memset in a loop; operator new, memset of the new
block, memcpy from the old one, operator delete of it; realloc and memset.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from memtool.allocators.system import why_missing
from tests.conftest import ROOT
from tests.started import run_memtool

KEPT = "allocations: {count}\ntouch: all\nobjects: [{{size: 64, lifetime: forever}}]\nphases: [{{ramp: 100%}}]\n"
GROWING = """
name: growing
allocations: 1
objects: [{size: 64KiB, lifetime: 99, resize: {times: 15, factor: 1.5}}]
phases: [{steady: 1%}, {drain: 99%}]
"""
ZEROED = """
name: zeroed
allocations: 400
touch: first
objects: [{size: 128KiB, lifetime: 1, zeroed: true}]
"""
KIB = 1024
MALLOCS = [name for name in ("glibc", "jemalloc", "mimalloc", "tcmalloc") if why_missing(name) is None]
ADAPTED = ("new-delete+lock", "new-delete+guard", "new-delete+quarantine")
"""A program over any of these resizes by a copy of its own, as it does over what they stand on."""
PAGES = 12 * KIB
"""A stack page or two, and what the C++ library has allocated before main, which a C program has not."""
BATCH = 256 * KIB


@pytest.fixture(scope="module")
def peaks(
    tmp_path_factory: pytest.TempPathFactory, memtool_environment: Mapping[str, str]
) -> dict[tuple[str, str], float]:
    """Bytes by workload and allocator, of one footprint sample each."""
    folder = tmp_path_factory.mktemp("resident")
    for count in (1000, 4000):
        (folder / f"kept-{count}.yaml").write_text(f"name: kept-{count}\n" + KEPT.format(count=count))
    (folder / "growing.yaml").write_text(GROWING)
    (folder / "zeroed.yaml").write_text(ZEROED)
    workloads = ("kept-1000.yaml", "kept-4000.yaml", "growing.yaml", "zeroed.yaml")
    allocators = ",".join(["new-delete", *ADAPTED, *MALLOCS])
    done = run_memtool(
        *("bench", *workloads, "-a", allocators, "--passes", "footprint", "--blocks", "1", "--no-plots", "-o", "out"),
        environment={**memtool_environment, "PYTHONPATH": str(ROOT)},
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads((folder / "out/run.json").read_text())["cells"]
    assert {cell["status"] for cell in cells} == {"ok"}
    return {(cell["workload"], cell["allocator"]): cell["metrics"]["peak_resident_bytes"]["value"] for cell in cells}


@pytest.mark.parametrize(
    ("name", "kept_1000", "kept_4000"),
    [("glibc", 80, 316), ("new-delete", 80, 316), ("jemalloc", 72, 264), ("mimalloc", 64, 256), ("tcmalloc", 64, 256)],
)
def test_what_was_written_is_resident(
    peaks: dict[tuple[str, str], float], name: str, kept_1000: int, kept_4000: int
) -> None:
    if ("kept-1000", name) not in peaks:
        pytest.skip(f"{name} is not installed")
    assert peaks["kept-1000", name] == pytest.approx(kept_1000 * KIB, abs=PAGES)
    assert peaks["kept-4000", name] == pytest.approx(kept_4000 * KIB, abs=PAGES)


@pytest.mark.parametrize(
    ("name", "mib"),
    [
        ("glibc", 27.6),
        ("new-delete", 45.7),
        *((name, 45.7) for name in ADAPTED),
        ("jemalloc", 51.5),
        ("tcmalloc", 46.3),
    ],
)
def test_what_is_resident_inside_one_call_only_is_in_the_peak(
    peaks: dict[tuple[str, str], float], name: str, mib: float
) -> None:
    if ("growing", name) not in peaks:
        pytest.skip(f"{name} is not installed")
    # mimalloc is not among them: it gives back by the clock, after 10 ms, and keeps 38 or 62 MiB, as plain programs do.
    assert peaks["growing", name] == pytest.approx(mib * KIB * KIB, rel=0.05, abs=BATCH)


@pytest.mark.parametrize(("name", "kib"), [("glibc", 132), ("jemalloc", 4), ("mimalloc", 524)])
def test_what_calloc_clears_is_resident_and_what_it_knows_to_be_clear_is_not(
    peaks: dict[tuple[str, str], float], name: str, kib: int
) -> None:
    # One byte of each zeroed block of 128 KiB is written, and all are in the same place: glibc and mimalloc clear what
    # they use again, jemalloc has the system clear it. Anonymous memory of a plain program: calloc, one byte, free.
    if ("zeroed", name) not in peaks:
        pytest.skip(f"{name} is not installed")
    assert peaks["zeroed", name] == pytest.approx(kib * KIB, abs=PAGES)


@pytest.mark.skipif("tcmalloc" not in MALLOCS, reason="tcmalloc is not installed")
def test_a_check_of_peaks_says_what_plain_programs_say(tmp_path: Path, memtool_environment: Mapping[str, str]) -> None:
    # 45.7 and 46.3 MiB: -1.4 %, where figures taken between operations alone said -40 %.
    (tmp_path / "growing.yaml").write_text(GROWING)
    done = run_memtool(
        *("check", "growing.yaml", "--metric", "peak_resident_bytes", "--against", "tcmalloc"),
        *("--candidate", "new-delete", "--blocks", "7", "--format", "json", "-o", "out"),
        environment={**memtool_environment, "PYTHONPATH": str(ROOT)},
        folder=tmp_path,
    )
    (result,) = json.loads(done.stdout)["comparisons"]
    assert (result["metric"], result["base"], result["head"]) == ("peak_resident_bytes", "tcmalloc", "new-delete")
    assert result["change"] == pytest.approx(-0.014, abs=0.03)
    assert result["verdict"] != "regression"
    assert done.returncode == 0, done.stderr
