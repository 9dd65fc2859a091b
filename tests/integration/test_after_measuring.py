"""What goes wrong after the measuring costs nothing that was measured."""

from __future__ import annotations

import errno
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from memtool import files
from memtool.errors import MemtoolError
from memtool.model import Status
from memtool.options import BenchOptions
from memtool.passes import Pass
from memtool.report.plots import pictures
from memtool.run import bench
from tests.started import shell_memtool

WORKLOAD = """
name: small
allocations: 500
objects: [{size: 64, lifetime: 20}]
"""


def quiet(what: str, done: int, total: int, seconds_left: float | None) -> None:
    """Show no progress."""


@pytest.fixture
def options(tmp_path: Path) -> BenchOptions:
    workload = tmp_path / "small.yaml"
    workload.write_text(WORKLOAD, encoding="utf-8")
    return BenchOptions(
        workloads=(str(workload),), allocators="tlsf", passes=(Pass.FOOTPRINT,), blocks=1, output=tmp_path / "out"
    )


def test_a_disk_that_is_full_after_the_measuring_costs_no_sample(
    options: BenchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, text: str) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    assert options.output is not None
    with monkeypatch.context() as patch:
        patch.setattr(files, "write_whole", full)
        with pytest.raises(MemtoolError) as caught:
            bench(replace(options, draw_plots=False), quiet)
    words = str(caught.value)
    assert words.startswith(f"{options.output}/series/small_tlsf_")
    assert words.endswith(
        ".json: cannot be written: No space left on device; every sample is in its journal, and the same command with "
        "resume stores the result"
    )
    before = (options.output / "journal.jsonl").read_bytes()
    outcome = bench(replace(options, draw_plots=False, resume=True), quiet)
    assert [cell.status for cell in outcome.run.cells] == [Status.OK]
    assert (options.output / "journal.jsonl").read_bytes() == before


def test_a_reader_that_has_seen_enough_costs_no_report(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(WORKLOAD, encoding="utf-8")
    arguments = "bench small.yaml -a tlsf --passes footprint --blocks 1 --no-plots --report -o out"
    with subprocess.Popen([shell_memtool(), *arguments.split()], cwd=tmp_path, stdout=subprocess.PIPE) as started:
        assert started.stdout is not None
        started.stdout.close()
    assert (tmp_path / "out/report.html").is_file()


def test_a_picture_that_cannot_be_drawn_is_a_complaint(options: BenchOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(directory: Path, run: object, *, at_once: int) -> list[Path]:
        raise ValueError("Failed to process string with tex")

    monkeypatch.setattr(pictures, "draw_all", fails)
    outcome = bench(options, quiet)
    assert outcome.complaints == ("nothing was drawn: ValueError: Failed to process string with tex",)
    assert outcome.plots == ()
    assert (outcome.directory / "run.json").is_file()
