"""The least limits by bisection: with an executor that decides by the capacity alone, and of real heaps."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from memtool.cli import run
from memtool.errors import InputError, Interrupted, MemtoolError
from memtool.find_limit import CannotServeError, find_limits, search
from memtool.model import Cell, Status
from memtool.options import BenchOptions
from memtool.passes import Pass, Sample
from memtool.report import limits as report
from memtool.run import bench
from memtool.stats.limits import Limits
from memtool.store import limits_file
from memtool.worker.parent import Job
from tests.payloads import figures

UNLIMITED = 64 << 30
SPENT = "out of memory at event 7, for a request of 16 bytes"
RAMP = "name: h\nallocations: 100\npattern:\n  ramp: {size: 16, alignment: 8}\n"
DRAWN = "name: d\nseed: 7\nallocations: 100\nobjects:\n  - {size: {uniform: [16, 64]}, lifetime: forever}\n"
Answer = Callable[[Job], str | int]


def quiet(what: str, done: int, total: int, seconds_left: float | None) -> None:
    """Show no progress."""


def sample(cell: Cell, answer: str | int) -> Sample:
    """Return what became of a replay: the reason of its failure, or its footprint in bytes."""
    if isinstance(answer, str):
        return Sample(cell, 0, Pass.FOOTPRINT, Status.FAILED, answer)
    return Sample(cell, 0, Pass.FOOTPRINT, Status.OK, None, figures(Pass.FOOTPRINT, peak_footprint_bytes=answer))


@dataclass
class FakeExecutor:
    answer: Answer
    jobs: list[Job] = field(default_factory=list)

    def execute(self, job: Job) -> Sample:
        self.jobs.append(job)
        return replace(sample(job.cell, self.answer(job)), block=job.block)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        for job in jobs:
            yield self.execute(job)


def searched(peak_live: int, footprint: int, survives: Callable[[int], bool]) -> tuple[int, list[int]]:
    """Return (what a search finds, the capacities that it looked at)."""
    hunt = search(peak_live)
    capacities = [next(hunt)]
    while True:
        try:
            answer = footprint if survives(capacities[-1]) else SPENT
            capacities.append(hunt.send(sample(Cell("w", "tlsf"), answer)))
        except StopIteration as end:
            return end.value, capacities


@pytest.mark.parametrize(
    ("threshold", "limit"),
    [
        (3200, 3200),  # 200 steps of 16
        (3201, 3216),  # the next step
        (0, 1008),  # 1,000 bytes are alive: 63 steps
        (5000, 5008),  # the footprint itself: 313 steps
        (9000, 9008),  # more than the footprint was with all the room there is
    ],
)
def test_the_bisection_finds_the_threshold(threshold: int, limit: int) -> None:
    result, capacities = searched(1000, 5000, lambda size: size >= threshold)
    assert result == limit
    assert capacities[:2] == [UNLIMITED, 5008]
    assert all(size % 16 == 0 for size in capacities)
    assert len(capacities) < 13  # (5008 - 992) / 16 = 251 steps: 8 halvings, and the doubling of what is too little


def test_what_is_found_survives_also_where_survival_is_not_monotone() -> None:
    result, _ = searched(1000, 5000, lambda size: size >= 4000 or 2000 <= size < 2500)
    assert result == 4000


def test_a_strategy_without_any_footprint_has_one_step() -> None:
    assert searched(0, 0, lambda size: True)[0] == 16


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([SPENT], SPENT),
        ([5000, 5000, "the worker was killed by SIGSEGV"], "with a limit of 3,008 bytes: the worker was killed by"),
    ],
)
def test_what_fails_of_something_else_is_given_up(answers: list[str | int], reason: str) -> None:
    hunt = search(1024)
    next(hunt)
    for answer in answers[:-1]:
        hunt.send(sample(Cell("w", "tlsf"), answer))
    with pytest.raises(CannotServeError, match=reason):
        hunt.send(sample(Cell("w", "tlsf"), answers[-1]))


def found_in(
    tmp_path: Path, text: str, allocators: str, answer: Answer, seeds: int = 3, *, resume: bool = False
) -> tuple[Limits, FakeExecutor]:
    path = tmp_path / "w.yaml"
    path.write_text(text, encoding="utf-8")
    executor = FakeExecutor(answer)
    options = BenchOptions((str(path),), allocators, output=tmp_path / str(len(text)), resume=resume)
    result = find_limits(options, seeds, quiet, executor)
    assert result.file == tmp_path / str(len(text)) / "limits.json"
    return result.limits, executor


def by_seed(job: Job, seen: list[Cell]) -> str | int:
    """Survive in 10,000 bytes with the first seed, in 20,000 with the second, in 15,008 with the third."""
    if job.region.size == UNLIMITED:
        seen.append(job.cell)
        return 40_000
    return 40_000 if job.region.size >= (10_000, 20_000, 15_008)[seen.count(job.cell) - 1] else SPENT


def test_each_seed_has_its_limit_from_the_workloads_own_on(tmp_path: Path) -> None:
    seen: list[Cell] = []
    result, executor = found_in(tmp_path, DRAWN, "tlsf,first-fit", lambda job: by_seed(job, seen))
    assert [info.seed for info in result.workloads[0].seeds] == [7, 8, 9]
    limits = {row.cell.allocator: [(limit.seed, limit.limit_bytes) for limit in row.limits] for row in result.rows}
    of_seeds = [(7, 10_000), (8, 20_000), (9, 15_008)]
    assert limits == {"tlsf": of_seeds, "first-fit": of_seeds}
    assert [row.largest_bytes for row in result.rows] == [20_000, 20_000]
    assert not result.failed
    assert {(job.run_pass, job.warmups, job.iterations, job.threads) for job in executor.jobs} == {
        (Pass.FOOTPRINT, 0, 1, None)
    }


def test_seeds_without_a_difference_are_one(tmp_path: Path) -> None:
    result, _ = found_in(tmp_path, RAMP, "tlsf", lambda job: 4000 if job.region.size >= 2000 else SPENT)
    assert [(info.seed, info.peak_live_bytes) for info in result.workloads[0].seeds] == [(42, 1600)]
    assert [(row.largest_bytes, row.largest_over_peak_live) for row in result.rows] == [(2000, 1.25)]
    assert "h: seeds that give the same events as one before are left out." in result.notes


def test_what_is_on_no_region_or_cannot_serve_is_left_out_with_the_reason(tmp_path: Path) -> None:
    text = RAMP + "memory_limit: 1MiB\n"
    for given, of_glibc in (
        (RAMP, "takes its memory from the system, not from a region: no limit holds it"),
        (text, "takes memory from the system, where a memory_limit of 1.00 MiB does not hold"),
    ):
        result, executor = found_in(
            tmp_path,
            given,
            "glibc,null,pool:block=8,tlsf,buddy",
            lambda job: "event 3: overlaps" if job.cell.allocator == "buddy" else 1600,
        )
        assert {row.cell.allocator: (row.status, row.reason) for row in result.rows} == {
            "glibc": (Status.EXCLUDED, of_glibc),
            "null": (Status.EXCLUDED, "serves nothing: its blocks lie upon each other"),
            "pool:block=8": (Status.EXCLUDED, "serves requests of up to 8 B; the workload asks for up to 16 B"),
            "tlsf": (Status.OK, None),
            "buddy": (Status.FAILED, "event 3: overlaps"),
        }
        assert {job.cell.allocator for job in executor.jobs} == {"tlsf", "buddy"}
        assert executor.jobs[0].region.size == UNLIMITED  # whatever limit the workload has
        assert result.failed


def test_a_seed_that_fails_is_named(tmp_path: Path) -> None:
    asked: list[Job] = []

    def answer(job: Job) -> str | int:
        asked.append(job)
        return 9000 if sum(item.region.size == UNLIMITED for item in asked) < 2 else "event 3: overlaps"

    result, _ = found_in(tmp_path, DRAWN, "tlsf", answer)
    assert [(row.status, row.reason) for row in result.rows] == [(Status.FAILED, "seed 8: event 3: overlaps")]


# A block of 16 bytes with a header of 8 takes 24: a hundred of them 2,400. A pool of 64 takes 6,400. Unlimited, either
# takes 64 KiB at once, and in less it takes what is left.
REAL = {"free-list:header=8,footer=0,alignment=8": 2400, "pool:block=64": 6400, "bump": 1600}


def test_real_heaps_have_the_limits_that_their_layout_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "h.yaml"
    path.write_text(RAMP, encoding="utf-8")
    options = ["--find-limit", "--seeds", "1", "--format", "json", "-o", str(tmp_path / "out")]
    assert run(["bench", str(path), "-a", ",".join(REAL), *options]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["allocator"]: row["largest_bytes"] for row in document["rows"]} == REAL
    assert (document["kind"], document["step_bytes"]) == ("limits", 16)
    assert [row["largest_over_peak_live"] for row in document["rows"] if row["allocator"] == "bump"] == [1.0]
    assert [workload["name"] for workload in document["workloads"]] == ["h"]


def test_what_was_found_is_stored_and_shown_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Cell] = []
    result, _ = found_in(tmp_path, DRAWN, "tlsf,glibc", lambda job: by_seed(job, seen))
    folder = tmp_path / str(len(DRAWN))
    document = json.loads((folder / "limits.json").read_text(encoding="utf-8"))
    assert (document["schema"], document["kind"], document["step_bytes"]) == ("memtool.limits.v1", "limits", 16)
    assert run(["schema", "limits"]) == 0
    jsonschema.validate(document, json.loads(capsys.readouterr().out))
    assert limits_file.read(folder / "limits.json") == result
    for path in (folder, folder / "limits.json"):
        for style in ("table", "markdown", "csv", "json"):
            assert run(["show", str(path), "--format", style]) == 0
            assert capsys.readouterr().out == report.render(result, style) + "\n"
    assert run(["show", str(folder), "-a", "tls*", "--format", "json"]) == 0
    assert {row["allocator"] for row in json.loads(capsys.readouterr().out)["rows"]} == {"tlsf"}
    assert run(["show", str(folder), "-a", "tlfs"]) == 2
    assert "the run has no 'tlfs'; did you mean 'tlsf'?" in capsys.readouterr().err
    assert run(["show", str(folder), "--reference", "tlsf"]) == 2
    assert "limits are shown by themselves: no other RUN, and no choice but --allocators" in capsys.readouterr().err


class Interrupting(FakeExecutor):
    """Takes so many samples, and is interrupted in the next."""

    def __init__(self, answer: Answer, left: int) -> None:
        super().__init__(answer)
        self.left = left

    def execute(self, job: Job) -> Sample:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return super().execute(job)


@pytest.mark.parametrize("after", [0, 1, 7, 20])
def test_an_interrupted_search_goes_on_and_takes_no_replay_twice(tmp_path: Path, after: int) -> None:
    whole, once = found_in(tmp_path, DRAWN, "tlsf,first-fit", lambda job: 40_000 if job.region.size > 15_000 else SPENT)
    taken = [(job.cell, job.block, job.region.size) for job in once.jobs]
    path, out = tmp_path / "w.yaml", tmp_path / "out"
    options = BenchOptions((str(path),), "tlsf,first-fit", output=out)
    first = Interrupting(once.answer, after)
    with pytest.raises(Interrupted, match="no sample was finished" if after == 0 else f"^{after} finished sample"):
        find_limits(options, 3, quiet, first)
    assert not (out / "limits.json").exists()
    second = FakeExecutor(once.answer)
    result = find_limits(replace(options, resume=True), 3, quiet, second).limits
    assert replace(result, started=whole.started) == whole
    assert [(job.cell, job.block, job.region.size) for job in (*first.jobs, *second.jobs)] == taken
    # And more seeds can be added to it, of which the first are not searched again.
    third = FakeExecutor(once.answer)
    more = find_limits(replace(options, resume=True), 4, quiet, third).limits
    assert [len(row.limits) for row in more.rows] == [4, 4]
    assert min(job.block for job in third.jobs) == len(taken) // 2


def test_a_machine_that_can_start_no_worker_is_named_with_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_text(RAMP, encoding="utf-8")

    def refused(job: Job) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    options = BenchOptions((str(tmp_path / "w.yaml"),), "tlsf", output=tmp_path / "out")
    words = "a worker cannot be started: Too many open files; no sample was finished"
    with pytest.raises(MemtoolError, match=f"^{words}$"):
        find_limits(options, 1, quiet, FakeExecutor(refused))
    with pytest.raises(MemtoolError, match=f"^{words}$"):
        bench(replace(options, output=tmp_path / "run"), quiet, FakeExecutor(refused))


def test_a_search_and_a_bench_do_not_resume_each_other(tmp_path: Path) -> None:
    found_in(tmp_path, RAMP, "tlsf", lambda job: 4000)
    folder = tmp_path / str(len(RAMP))
    options = BenchOptions((str(tmp_path / "w.yaml"),), "tlsf", output=folder, passes=(Pass.FOOTPRINT,), resume=True)
    with pytest.raises(InputError, match="cannot be resumed: it was begun with other"):
        bench(replace(options, counters="none"), quiet)
    (folder / "journal.jsonl").unlink()
    with pytest.raises(InputError, match="no run to resume"):
        find_limits(options, 1, quiet, FakeExecutor(lambda job: 4000))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["rows"][0]["limits"].pop(), "limits: are not of the seeds that the workload has"),
        (lambda content: content["rows"][0]["limits"][0].update(limit_bytes=8), "limits: one is less than what is"),
        (lambda content: content["rows"].append(content["rows"][0]), "has a row or a workload twice"),
        (lambda content: content["rows"][0].update(workload="x"), "workloads: has no 'x'"),
        (lambda content: content["rows"][0].update(status="great"), "rows.0.status: input should be"),
        (lambda content: content.update(schema="memtool.limits.v2"), "needs a later memtool"),
        (lambda content: content.update(schema="memtool.run.v1"), "is not a result of memtool bench --find-limit"),
    ],
)
def test_what_no_search_has_left_is_refused(tmp_path: Path, change: Callable[[Any], object], words: str) -> None:
    found_in(tmp_path, DRAWN, "tlsf", lambda job: 40_000 if job.region.size > 15_000 else SPENT)
    file = tmp_path / str(len(DRAWN)) / "limits.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    change(content)
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        limits_file.read(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--find-limit", "--mode", "parallel"], "--find-limit: limits are found on one thread: --mode must be serial"),
        (["--find-limit", "--blocks", "3"], "--blocks: does not go with --find-limit, which measures nothing else"),
        (["--find-limit", "--cold"], "--cold: does not go with --find-limit, which measures nothing else"),
        (["--seeds", "3"], "--seeds: goes with --find-limit only; --seed is the seed of a bench"),
    ],
)
def test_options_without_a_meaning_are_refused_in_one_line(
    options: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["bench", "quickstart", "-a", "tlsf", *options]) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"memtool: {line}")


def test_the_table_has_a_column_for_each_seed_and_what_was_left_out(tmp_path: Path) -> None:
    seen: list[Cell] = []
    result, _ = found_in(tmp_path, DRAWN, "tlsf,glibc", lambda job: by_seed(job, seen))
    lines = report.render(result, "table").splitlines()
    peak = result.workloads[0].seeds[1].peak_live_bytes
    assert [line.split() for line in lines if line.startswith(("allocator", "tlsf"))] == [
        ["allocator", "seed", "7", "seed", "8", "seed", "9", "largest", "×", "peak", "live"],
        ["tlsf", "10,000", "20,000", "15,008", "20,000", f"{20_000 / peak:.3f}"],
    ]
    assert "  glibc: takes its memory from the system, not from a region: no limit holds it" in lines
    rows = list(csv.DictReader(io.StringIO(report.render(result, "csv"))))
    assert [(row["allocator"], row["seed"], row["limit_bytes"]) for row in rows] == [
        ("tlsf", "7", "10000"),
        ("tlsf", "8", "20000"),
        ("tlsf", "9", "15008"),
        ("glibc", "", ""),
    ]
