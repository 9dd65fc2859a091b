"""Every sample once, whatever becomes of hosts, workers, scheduler and network."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from memtool.cluster.connection import Answer
from memtool.errors import MemtoolError
from memtool.model import Cell, Status
from memtool.passes import Pass, Sample
from memtool.worker.parent import Job
from memtool.worker.settings import counts
from tests.unit.cluster.hosts import FakeCluster, FakeHost, Run, plan_of, sound, with_host

PLAN = plan_of(("web", "db", "game"), tuple(f"allocator-{number}" for number in range(8)), 4)
SAMPLES = 3 * (8 + 4 * 9 + 2 * 8 + 8)
"""Of three workloads each: a check, 4 blocks of 8 allocators and the control, 2 footprints, a heap pass."""


def test_every_sample_is_taken_once_and_pairs_stay_on_one_host() -> None:
    hosts = with_host(PLAN, "a", "b", "c", "d")
    run = Run(PLAN)
    run.over(FakeCluster(hosts)).run()
    assert counts(PLAN.settings, PLAN.measurables).total() == len(run.recorded) == len(set(run.recorded)) == SAMPLES
    of_block: dict[tuple[str, int], set[str]] = {}
    for (cell, block, run_pass), sample in run.ledgers["aaaaaa"].samples.items():
        if run_pass is Pass.THROUGHPUT:
            of_block.setdefault((cell.workload, block), set()).add(sample.host)
    assert all(len(names) == 1 for names in of_block.values())
    assert {name for names in of_block.values() for name in names} == {"a", "b", "c", "d"}
    assert {cell.workload for cell, _, _ in run.recorded} == {
        f"{name}:machine=aaaaaa" for name in ("web", "db", "game")
    }
    assert run.said == []


@pytest.mark.parametrize("seed", range(5))
def test_killed_workers_a_scheduler_that_restarts_and_lost_answers_cost_no_finished_sample(seed: int) -> None:
    """Ten times at random moments; what a host has finished, it never takes again."""
    draw = random.Random(seed)
    hosts = with_host(PLAN, "a", "b", "c", per_call=1)
    moments = sorted(draw.sample(range(20, 150), 10))
    back: list[tuple[int, FakeHost]] = []
    calls = 0

    def strike(cluster: FakeCluster) -> None:
        nonlocal calls
        calls += 1
        for due, host in list(back):
            if calls >= due:
                host.begin()
                back.remove((due, host))
        if not moments or calls < moments[0]:
            return
        moments.pop(0)
        if draw.random() < 0.3:  # the scheduler restarts: all workers end, and begin anew
            victims = [host for host in cluster.hosts if host.is_up]
        else:
            victims = [draw.choice(cluster.hosts)]
        for host in victims:
            if host.is_up:
                host.kill()
                back.append((calls + draw.randrange(1, 8), host))

    class Stubborn(FakeCluster):
        def next(self, seconds: float) -> Answer | None:
            if not any(host.is_up for host in self.hosts):
                back[0][1].begin()
                del back[0]
            return super().next(seconds)

    run = Run(PLAN)
    run.over(Stubborn(hosts, strike, loses=lambda: draw.random() < 0.05)).run()
    assert not moments
    assert len(run.recorded) == len(set(run.recorded)) == SAMPLES
    for host in hosts:
        assert max(Counter(line for _, line in host.taken).values(), default=1) == 1


def test_a_host_that_is_gone_has_its_unit_done_by_another_and_what_it_finished_is_kept() -> None:
    hosts = with_host(PLAN, "a", "b", per_call=2)

    def strike(cluster: FakeCluster) -> None:
        if len(hosts[0].taken) >= 40 and hosts[0].is_up:
            hosts[0].kill()

    run = Run(PLAN)
    run.over(FakeCluster(hosts, strike)).run()
    assert len(run.recorded) == len(set(run.recorded)) == SAMPLES
    assert len(hosts[0].taken) + len(hosts[1].taken) <= SAMPLES + 2  # what it had not told yet
    assert [words.partition(" in the middle")[0] for words in run.said] == ["a: has gone"]
    assert run.said[0].endswith("its finished samples are kept")


def test_a_group_that_loses_its_last_host_says_what_is_missing_and_the_others_go_on() -> None:
    alone, other = with_host(PLAN, "a", group="aaaaaa")[0], with_host(PLAN, "b", group="bbbbbb")[0]

    def strike(cluster: FakeCluster) -> None:
        if len(alone.taken) >= 50 and alone.is_up:
            alone.kill()

    run = Run(PLAN)
    run.over(FakeCluster([alone, other], strike)).run()
    assert run.ledgers["bbbbbb"].missing == 0
    missing = run.ledgers["aaaaaa"].missing
    assert 0 < missing < SAMPLES - 40
    assert run.said[-1] == f"machine aaaaaa: no host is left; {missing} samples were not taken"


def test_each_group_has_every_sample() -> None:
    hosts = [*with_host(PLAN, "a", "b"), *with_host(PLAN, "c", group="cccccc")]
    run = Run(PLAN)
    run.over(FakeCluster(hosts)).run()
    assert {name: len(ledger.samples) for name, ledger in run.ledgers.items()} == {"aaaaaa": SAMPLES, "cccccc": SAMPLES}


def test_a_host_that_cannot_measure_is_left_out_with_a_line_and_its_unit_goes_to_another() -> None:
    hosts = with_host(PLAN, "a", "b", "c")
    hosts[0].problem = "/data/web.parquet: the trace cannot be read there: No such file or directory"
    hosts[1].broken = "[Errno 28] No space left on device"
    run = Run(PLAN)
    run.over(FakeCluster(hosts)).run()
    assert len(run.recorded) == len(set(run.recorded)) == SAMPLES
    assert run.said[0] == f"a: {hosts[0].problem}; it is left out"
    assert run.said[1].startswith("b: [Errno 28] No space left on device (")


def test_a_clock_that_is_off_is_told_and_changes_nothing() -> None:
    hosts = [*with_host(PLAN, "a", ahead=7200.0), *with_host(PLAN, "b", ahead=-5.0)]
    run = Run(PLAN)
    run.over(FakeCluster(hosts)).run()
    assert run.said == ["a: its clock is 2 h 0 min ahead; no figure depends on it"]
    assert len(set(run.recorded)) == SAMPLES


def test_where_no_host_can_be_used_the_run_ends_with_one_line() -> None:
    hosts = with_host(PLAN, "a", problem="has no engine")
    with pytest.raises(MemtoolError, match="no host of the cluster can be used"):
        Run(PLAN).over(FakeCluster(hosts)).run()
    empty = FakeCluster([])
    with pytest.raises(MemtoolError, match="the cluster has no workers"):
        Run(PLAN).over(empty).run()
    assert 60 <= empty.now < 400


def test_a_network_that_stalls_for_a_minute_costs_nothing() -> None:
    hosts = with_host(PLAN, "a", "b")
    stalled_at: list[float] = []

    def stall(cluster: FakeCluster) -> None:
        if len(hosts[0].taken) >= 60 and not stalled_at:
            stalled_at.append(cluster.now)
            cluster.is_reached = False

    class Stalling(FakeCluster):
        def members(self) -> frozenset[str] | None:
            if stalled_at and self.now - stalled_at[0] >= 60:
                self.is_reached = True
            return super().members()

    run = Run(PLAN)
    run.over(Stalling(hosts, stall)).run()
    assert len(run.recorded) == len(set(run.recorded)) == SAMPLES
    assert sum(len(host.taken) for host in hosts) == SAMPLES  # none was taken twice, on no host
    assert run.said == [
        "the cluster cannot be reached; what hosts have begun goes on",
        "the cluster is reached again",
        "a: is back",
        "b: is back",
    ]


def test_a_second_worker_on_a_machine_measures_nothing_beside_the_first_and_takes_its_place() -> None:
    """Two workers, one machine: they name the same identity."""
    host = with_host(PLAN, "a")[0]

    class Twofold(FakeCluster):
        def members(self) -> frozenset[str] | None:
            return (super().members() or frozenset()) | {"tcp://a:second"}

        def call(self, token: int, address: str, function: Callable[..., Any], *arguments: object) -> None:
            super().call(token, host.address if address == "tcp://a:second" else address, function, *arguments)

    run = Run(PLAN)
    run.over(Twofold([host])).run()
    assert len(host.taken) == len(set(run.recorded)) == SAMPLES


def test_a_run_is_gone_on_with_by_other_hosts() -> None:
    first = Run(PLAN)
    hosts = with_host(PLAN, "a")

    def interrupt(cluster: FakeCluster) -> None:
        if len(hosts[0].taken) >= 70:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first.over(FakeCluster(hosts, interrupt)).run()
    done = first.ledgers["aaaaaa"].samples
    again = Run(PLAN, done)
    again.over(FakeCluster(with_host(PLAN, "b"))).run()
    assert len(again.recorded) == SAMPLES - len(done)
    assert len({*again.recorded, *first.recorded}) == SAMPLES


def test_what_has_failed_is_measured_no_further_on_any_host() -> None:
    def breaks(job: Job) -> Sample:
        sample = sound(job)
        if job.cell.allocator == "allocator-3" and job.run_pass is Pass.CHECK:
            return replace(sample, status=Status.FAILED, reason="two blocks overlap", payload=None)
        return sample

    run = Run(PLAN)
    run.over(FakeCluster(with_host(PLAN, "a", "b", result=breaks))).run()
    of_failed = [run_pass for cell, _, run_pass in run.recorded if cell.allocator == "allocator-3"]
    assert of_failed == [Pass.CHECK] * 3
    assert run.ledgers["aaaaaa"].missing == 0
    assert run.ledgers["aaaaaa"].failed == {Cell(name, "allocator-3") for name in ("web", "db", "game")}


def test_figures_that_differ_are_repeated_in_every_block() -> None:
    def varies(job: Job) -> Sample:
        sample = sound(job)
        if job.run_pass is Pass.FOOTPRINT and job.cell == Cell("db", "allocator-1"):
            assert sample.payload is not None
            return replace(sample, payload=replace(sample.payload, peak_footprint_bytes=1000 + job.block))  # type: ignore[call-arg]
        return sample

    run = Run(PLAN)
    run.over(FakeCluster(with_host(PLAN, "a", "b", result=varies))).run()
    blocks = sorted(
        block
        for cell, block, run_pass in run.recorded
        if run_pass is Pass.FOOTPRINT and cell.allocator == "allocator-1" and cell.workload.startswith("db")
    )
    assert blocks == [0, 1, 2, 3]
    assert len(run.recorded) == SAMPLES + 2
