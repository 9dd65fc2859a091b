"""``memtool bench --dry-run``: what one should know of a run before it begins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from memtool.cli import run

# Two threads; nothing is freed before the peak of 100,000 bytes, and then all of it.
WORKLOAD = "name: w\nthreads: 2\nallocations: 1000\npattern: {ramp: {size: 100}}\n"
SERIAL = (
    "its threads are replayed on one, in the recorded order; `--mode parallel` has them side by side, "
    "`--mode lockstep` in that order"
)


@pytest.fixture
def ramp(tmp_path: Path) -> str:
    path = tmp_path / "w.yaml"
    path.write_text(WORKLOAD)
    return str(path)


def test_it_says_that_threads_run_serially_and_that_the_peak_misleads(
    ramp: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", ramp, "-a", "tlsf", "--dry-run"]) == 0
    notes = [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip().startswith("note:")]
    assert notes == [
        "note: the peak of 97.7 KiB live comes before anything is freed: figures at the peak are those of a heap that "
        "was only filled",
        f"note: {SERIAL}",
    ]
    assert run(["bench", ramp, "-a", "tlsf", "--dry-run", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["workloads"][0]["notes"][1] == SERIAL


def test_it_says_nothing_of_the_kind_where_they_run_side_by_side(ramp: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", ramp, "-a", "tlsf+lock", "--mode", "parallel", "--dry-run"]) == 0
    assert "replayed on one" not in capsys.readouterr().out
