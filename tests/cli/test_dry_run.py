"""``memtool bench --dry-run``: what one should know of a run before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtool.cli import run

# Each of two threads allocates half of it, then frees that.
WORKLOAD = "name: w\nthreads: 2\nallocations: 1000\npattern: {ramp: {size: 100}}\n"
SERIAL = (
    "its threads are replayed on one, in the recorded order; `--mode parallel` has them side by side, "
    "`--mode lockstep` in that order"
)


@pytest.fixture
def two_threads(tmp_path: Path) -> str:
    path = tmp_path / "w.yaml"
    path.write_text(WORKLOAD)
    return str(path)


def test_it_says_that_threads_run_serially(two_threads: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", two_threads, "-a", "tlsf", "--dry-run"]) == 0
    notes = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("note:")]
    assert notes == [f"note: {SERIAL}"]
    assert run(["bench", two_threads, "-a", "tlsf", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["workloads"][0]["notes"] == [SERIAL]


def test_it_says_that_a_peak_misleads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(WORKLOAD.replace("threads: 2\n", ""))
    assert run(["bench", str(path), "-a", "tlsf", "--dry-run"]) == 0
    assert "  note: the peak of 97.7 KiB live comes before anything is freed" in capsys.readouterr().out


def test_it_says_nothing_of_the_kind_where_they_run_side_by_side(
    two_threads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", two_threads, "-a", "tlsf+lock", "--mode", "parallel", "--dry-run"]) == 0
    assert "replayed on one" not in capsys.readouterr().out
