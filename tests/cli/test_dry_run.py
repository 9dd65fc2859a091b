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


def test_it_says_that_there_is_no_heap_map_of_the_peak(two_threads: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = "Note: There is no heap map of the peak where threads run side by side: when live bytes peak is then known "
    for options, is_said in (
        (("--mode", "parallel"), True),
        (("--mode", "parallel", "--passes", "throughput"), False),
        (("--mode", "lockstep"), False),
        ((), False),
    ):
        assert run(["bench", two_threads, "-a", "tlsf+lock", *options, "--dry-run"]) == 0
        assert (words in capsys.readouterr().out) is is_said, options


def test_it_says_that_a_peak_misleads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(WORKLOAD.replace("threads: 2\n", ""))
    assert run(["bench", str(path), "-a", "tlsf", "--dry-run"]) == 0
    assert "  note: the peak of 97.7 KiB live comes before anything is freed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        # Twenty pairs, of which time and resident memory are sampled: 2^-10 is within 0.05 / 40, and 2^-9 is not.
        (21, ("--blocks", "9"), "9 blocks cannot decide: a verdict on 40 figures together needs at least --blocks 10,"),
        (21, ("--blocks", "10"), ""),
        (21, ("--blocks", "9", "--passes", "check,throughput"), ""),  # 2^-9 is within 0.05 / 20
        (21, ("--blocks", "3", "--passes", "check"), ""),  # nothing that is compared
        (
            2,
            ("--blocks", "5", "--passes", "throughput"),
            "5 blocks cannot decide: a verdict on one figure needs at least ",
        ),
        (1, ("--blocks", "3"), ""),
    ],
)
def test_it_says_that_the_blocks_are_too_few_for_a_comparison(
    two_threads: str, rows: int, options: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    allocators = "pool:block=" + "|".join(str(16 * number) for number in range(7, 7 + rows))
    assert run(["bench", two_threads, "-a", allocators, *options, "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert said.startswith(f"memtool: for a later `memtool compare`, {words}") if words else said == ""


def test_a_check_says_it_too(two_threads: str, capsys: pytest.CaptureFixture[str]) -> None:
    sides = ("--against", "tlsf", "--candidate", "bump", "--metric", "time_per_op_ns", "--dry-run")
    assert run(["check", two_threads, *sides, "--blocks", "5"]) == 0
    assert capsys.readouterr().err.startswith("memtool: 5 blocks cannot decide: a verdict on one figure needs at least")


def test_it_says_nothing_of_the_kind_where_they_run_side_by_side(
    two_threads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", two_threads, "-a", "tlsf+lock", "--mode", "parallel", "--dry-run"]) == 0
    assert "replayed on one" not in capsys.readouterr().out


def test_a_run_that_is_gone_on_with_has_its_own_number_of_blocks(
    tmp_path: Path, two_threads: str, capsys: pytest.CaptureFixture[str]
) -> None:
    of_run = ["bench", two_threads, "-a", "tlsf", "--passes", "throughput", "-o", str(tmp_path / "run")]
    assert run([*of_run, "--blocks", "2", "--no-plots"]) == 0
    journal = tmp_path / "run" / "journal.jsonl"
    before = journal.read_bytes()
    capsys.readouterr()
    assert run([*of_run, "--resume", "--dry-run"]) == 0
    # Two blocks of tlsf and the null strategy, not ten.
    assert "4 samples" in capsys.readouterr().out
    assert journal.read_bytes() == before
    assert run([*of_run[:-1], str(tmp_path / "none"), "--resume", "--dry-run"]) == 2
    assert "none: no run to resume" in capsys.readouterr().err
