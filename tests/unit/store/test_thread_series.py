"""The series of a replay on several threads: one row a thread, ticks as nanoseconds, histograms merged."""

from __future__ import annotations

from memtool.model import Cell, Status
from memtool.passes import Pass, Sample
from memtool.store.series import History
from tests.payloads import figures


def sample(run_pass: Pass, block: int, threads: list[dict[str, object]]) -> Sample:
    payload = figures(run_pass, threads=threads)
    return Sample(Cell("w", "a", mode="parallel"), block, run_pass, Status.OK, None, payload)


def row(operations: int, ticks: int, waited: int) -> dict[str, object]:
    return {"operations": operations, "remote_deallocations": 1, "body_ticks": ticks, "wait_ticks": waited}


def test_each_thread_has_a_row() -> None:
    timed = sample(Pass.THROUGHPUT, 0, [row(10, 100, 0), row(20, 300, 50)])
    result = [{"allocate": [(5, 2)], "deallocate": [(7, 1)]}, {"allocate": [(5, 1), (6, 1)], "deallocate": []}]
    rows = [{**row(0, 0, 0), "histograms": item} for item in result]
    latencies = [sample(Pass.LATENCY, block, rows) for block in (0, 1)]
    history = History.of([timed, *latencies], 2.0)
    first, second = history.threads
    assert first == {
        "thread": 0,
        "operations": 10,
        "remote_deallocations": 1,
        "time_ns": 200.0,
        "wait_ns": 0.0,
        "allocate": [(10.0, 12.0, 4)],
        "deallocate": [(14.0, 16.0, 2)],
    }
    assert (second["time_ns"], second["wait_ns"]) == (600.0, 100.0)
    assert second["allocate"] == [(10.0, 12.0, 2), (12.0, 14.0, 2)]


def test_one_thread_has_none() -> None:
    plain = Sample(Cell("w", "a"), 0, Pass.THROUGHPUT, Status.OK, None, figures(Pass.THROUGHPUT))
    assert History.of([plain], 1.0).threads == ()
