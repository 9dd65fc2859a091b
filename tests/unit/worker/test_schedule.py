"""The order of samples, with an executor that measures nothing."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from memtool.errors import MemtoolError
from memtool.host.counters import Counter as InstructionCounter
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Mode, Status
from memtool.passes import CHOSEN, Pass, Sample, passes_from
from memtool.worker.parent import Job, RegionRequest
from memtool.worker.schedule import Key, Schedule
from memtool.worker.settings import Measurable, Settings, counts, seconds_waiting
from memtool.worker.threads import ThreadPlan
from tests.payloads import figures

NAMES = ("glibc", "pool", "tlsf", "buddy", "slab")
Answer = Callable[[Job], Mapping[str, Any] | str]


def plan(name: str) -> AllocatorPlan:
    return AllocatorPlan(AllocatorSpec(name), name, "", is_control=name == "null")


def measurable(name: str = "churn", allocators: tuple[str, ...] = NAMES, region: str = "anonymous") -> Measurable:
    cells = {Cell(name, allocator, region): plan(allocator) for allocator in allocators}
    return Measurable(name, 5, 4096, plan("null"), cells, {region: RegionRequest(1 << 30, 4096)})


def quiet(job: Job) -> Mapping[str, Any] | str:
    """Return figures that are the same in every repeat; a null replay of 1 µs."""
    return footprint() if job.run_pass is Pass.FOOTPRINT else {}


def footprint(**changed: float) -> Mapping[str, Any]:
    same = {
        "peak_resident_bytes": 10_000_000,
        "peak_granted_bytes": 1,
        "peak_footprint_bytes": 2,
        "ratio_sum": 3.0,
    }
    return {**same, **changed}


def sound(job: Job, result: Mapping[str, Any]) -> Sample:
    return Sample(job.cell, job.block, job.run_pass, Status.OK, None, figures(job.run_pass, **result))


def timed(job: Job, ticks: int) -> Mapping[str, Any]:
    """Return replays that take so long, of the passes that are timed."""
    return {"body_ticks": [ticks] * 3} if job.run_pass in (Pass.THROUGHPUT, Pass.LATENCY) else {}


@dataclass
class FakeExecutor:
    """Answers at once with what ``answer`` says: figures, or the reason of a failure."""

    answer: Answer = quiet
    jobs: list[Job] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    """Of the heap pass: which allocators waited together."""

    def execute(self, job: Job) -> Sample:
        self.jobs.append(job)
        result = self.answer(job)
        if isinstance(result, str):
            died = result.startswith("died")
            return Sample(job.cell, job.block, job.run_pass, Status.FAILED, result, died=died)
        return sound(job, result)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        if waiting:
            self.batches.append([job.cell.allocator for job in waiting])
        for job in (*waiting, *jobs):
            yield self.execute(job)


@dataclass
class Outcome:
    jobs: list[Job]
    samples: list[Sample]
    recorded: list[Sample]

    def taken(self) -> list[tuple[str, int, Pass]]:
        return [(sample.cell.allocator, sample.block, sample.run_pass) for sample in self.samples]

    def order(self, block: int) -> list[str]:
        return [name for name, at, run_pass in self.taken() if at == block and run_pass is Pass.THROUGHPUT]


def run(
    *workloads: Measurable,
    settings: Settings | None = None,
    answer: Answer = quiet,
    finished: Mapping[Key, Sample] | None = None,
) -> Outcome:
    executor = FakeExecutor(answer)
    recorded: list[Sample] = []
    schedule = Schedule(executor, settings or Settings(blocks=4), recorded.append, finished or {})
    return Outcome(executor.jobs, schedule.run(workloads or (measurable(),)), recorded)


def test_every_cell_is_measured_once_a_block_and_pass() -> None:
    counts = Counter(run().taken())
    expected = {
        (name, block, run_pass) for name in NAMES for block in range(4) for run_pass in (Pass.THROUGHPUT, Pass.LATENCY)
    }
    assert expected <= set(counts)
    assert set(counts.values()) == {1}


def test_null_is_in_every_block_and_in_no_other_pass() -> None:
    result = [(block, item) for name, block, item in run().taken() if name == "null"]
    assert sorted(result) == [(block, run_pass) for block in range(4) for run_pass in (Pass.LATENCY, Pass.THROUGHPUT)]


def test_null_is_measured_once_a_block_also_where_the_user_asks_for_it() -> None:
    outcome = run(measurable(allocators=("null", "pool")))
    assert Counter(outcome.taken())["null", 0, Pass.THROUGHPUT] == 1
    assert [name for name, _, item in outcome.taken() if item in (Pass.CHECK, Pass.FOOTPRINT)] == ["pool"] * 3


def test_each_region_has_a_null_of_its_own() -> None:
    cells = {Cell("churn", "pool", region): plan("pool") for region in ("anonymous", "hugepages")}
    regions = dict.fromkeys(("anonymous", "hugepages"), RegionRequest(1 << 30, 4096))
    outcome = run(Measurable("churn", 5, 4096, plan("null"), cells, regions), settings=Settings(blocks=1))
    nulls = {sample.cell.region for sample in outcome.samples if sample.cell.allocator == "null"}
    assert nulls == {"anonymous", "hugepages"}


def test_the_passes_of_a_cell_follow_each_other_within_a_block() -> None:
    timed = [key for key in run().taken() if key[2] in (Pass.THROUGHPUT, Pass.LATENCY)]
    for throughput, latency in zip(timed[::2], timed[1::2], strict=True):
        assert (throughput[:2], throughput[2]) == (latency[:2], Pass.THROUGHPUT)


def test_blocks_run_one_after_the_other() -> None:
    blocks = [block for _, block, item in run().taken() if item is Pass.THROUGHPUT]
    assert blocks == sorted(blocks)


def test_the_order_differs_between_blocks() -> None:
    outcome = run()
    orders = {tuple(outcome.order(block)) for block in range(4)}
    assert len(orders) == 4
    assert {frozenset(order) for order in orders} == {frozenset({*NAMES, "null"})}


def test_the_order_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    first, again = run(settings=Settings(blocks=4, seed=7)), run(settings=Settings(blocks=4, seed=7))
    other = run(settings=Settings(blocks=4, seed=8))
    assert first.taken() == again.taken()
    assert [first.order(block) for block in range(4)] != [other.order(block) for block in range(4)]


def test_workloads_take_turns_to_begin_a_block() -> None:
    outcome = run(measurable("a"), measurable("b"), measurable("c"))
    begins = [
        next(
            sample.cell.workload
            for sample in outcome.samples
            if sample.run_pass is Pass.THROUGHPUT and sample.block == block
        )
        for block in range(4)
    ]
    assert begins == ["a", "b", "c", "a"]


def test_checks_come_before_everything_and_footprints_after() -> None:
    passes = [item for _, _, item in run().taken()]
    assert passes[:5] == [Pass.CHECK] * 5
    assert passes[-15:-10] == [Pass.FOOTPRINT] * 5
    # Then it is known what memory a cell takes, and what mostly waits begins first.
    assert passes[-10:] == [Pass.HEAP] * 5 + [Pass.FOOTPRINT] * 5
    assert set(passes[5:-15]) == {Pass.THROUGHPUT, Pass.LATENCY}


def heap_batches(
    *workloads: Measurable, memory: int | None, resident: int = 100 << 20, passes: tuple[Pass, ...] = CHOSEN
) -> list[list[str]]:
    """Return which allocators waited together, when each replay takes ``resident`` bytes."""
    executor = FakeExecutor(
        lambda job: footprint(peak_resident_bytes=resident) if job.run_pass is Pass.FOOTPRINT else quiet(job)
    )
    settings = Settings(blocks=1, memory_bytes=memory, passes=passes)
    Schedule(executor, settings, lambda _: None).run(workloads or (measurable(),))
    return executor.batches


def test_heap_passes_wait_together_of_all_workloads() -> None:
    result = heap_batches(measurable("a"), measurable("b"), memory=None)
    assert result == [[*NAMES, *NAMES]]


def test_no_more_heap_passes_wait_together_than_memory_holds() -> None:
    # 100 MiB as the footprint pass found, and 32 MiB for the worker: two fit into 300 MiB, three do not.
    assert heap_batches(memory=300 << 20) == [["glibc", "pool"], ["tlsf", "buddy"], ["slab"]]


def test_a_heap_pass_that_memory_does_not_hold_runs_alone() -> None:
    assert heap_batches(memory=1 << 20) == [[name] for name in NAMES]


def test_without_a_footprint_a_heap_pass_is_taken_for_a_quarter_of_memory() -> None:
    assert heap_batches(memory=1 << 30, passes=(Pass.HEAP,)) == [["glibc", "pool", "tlsf"], ["buddy", "slab"]]


def test_heap_passes_that_share_the_machine_have_longer_and_time_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1})
    outcome = run(settings=Settings(blocks=1, time_limit=7.0))
    # Five on two processors: three turns, and five seconds of waiting after the drain.
    assert {job.time_limit for job in outcome.jobs if job.run_pass is Pass.HEAP} == {3 * 7.0 + 5}
    assert {job.drain_waits_ms for job in outcome.jobs} == {(0, 100, 1_000, 5_000)}


def test_system_calls_are_counted_once_a_cell_and_never_of_the_control() -> None:
    settings = Settings(blocks=3, passes=(Pass.CALLS,), can_count_calls=True)
    outcome = run(settings=settings)
    assert outcome.taken() == [(name, 0, Pass.CALLS) for name in NAMES]
    assert counts(settings, [measurable()]).total() == 5
    assert run(settings=replace(settings, can_count_calls=False)).taken() == []


def test_a_second_look_counts_its_blocks_on() -> None:
    outcome = run(settings=Settings(blocks=3, first_block=31, passes=(Pass.THROUGHPUT,)))
    assert sorted({block for _, block, _ in outcome.taken()}) == [31, 32, 33]
    assert outcome.order(31) != run(settings=Settings(blocks=3, passes=(Pass.THROUGHPUT,))).order(0)


def test_footprints_are_repeated_as_often_as_asked() -> None:
    settings = Settings(blocks=5, footprint_repeats=5, passes=(Pass.FOOTPRINT,))
    outcome = run(settings=settings)
    assert len(outcome.taken()) == counts(settings, [measurable()]).total() == 25


def test_only_the_chosen_passes_run() -> None:
    outcome = run(settings=Settings(blocks=2, passes=(Pass.LATENCY,)))
    assert {item for _, _, item in outcome.taken()} == {Pass.LATENCY}
    assert len(outcome.samples) == 12


def test_every_sample_is_recorded_as_it_is_taken() -> None:
    outcome = run()
    assert outcome.recorded == outcome.samples


def test_progress_counts_up_to_the_total_that_was_announced() -> None:
    seen: list[tuple[str, int, int]] = []
    settings = Settings(blocks=4)
    schedule = Schedule(
        FakeExecutor(), settings, lambda _: None, {}, lambda what, done, total, _: seen.append((what, done, total))
    )
    samples = schedule.run([measurable()])
    # 5 checks, 4 blocks of 6 cells with 2 passes, 5 footprints twice, 5 heaps that wait together.
    assert {total for _, _, total in seen} == {68}
    assert [done for _, done, _ in seen] == list(range(68))
    assert len(samples) == counts(settings, [measurable()]).total() == 68
    assert seen[-1][0] == "churn · slab · footprint"  # those that wait are begun first
    assert seen[0][0] == "churn · glibc · check"


def test_a_failed_cell_is_not_measured_again_and_the_others_are() -> None:
    def fails(job: Job) -> Mapping[str, Any] | str:
        broken = job.cell.allocator == "tlsf" and job.block == 1 and job.run_pass is Pass.THROUGHPUT
        return "killed by SIGSEGV" if broken else quiet(job)

    outcome = run(answer=fails)
    mine = [key[1:] for key in outcome.taken() if key[0] == "tlsf"]
    assert mine == [(0, Pass.CHECK), (0, Pass.THROUGHPUT), (0, Pass.LATENCY), (1, Pass.THROUGHPUT)]
    assert outcome.samples[-1].run_pass is Pass.FOOTPRINT
    assert len([key for key in outcome.taken() if key[0] == "pool"]) == 12
    assert sum(item.status is Status.FAILED for item in outcome.recorded) == 1


def test_a_cell_that_fails_its_check_is_never_timed() -> None:
    outcome = run(
        answer=lambda job: "overlap" if job.run_pass is Pass.CHECK and job.cell.allocator == "pool" else quiet(job)
    )
    assert [key for key in outcome.taken() if key[0] == "pool"] == [("pool", 0, Pass.CHECK)]


def test_finished_samples_are_returned_and_not_taken_again() -> None:
    whole = run()
    half = whole.samples[:30]
    finished = {(item.cell, item.block, item.run_pass): item for item in half}
    resumed = run(finished=finished)
    assert resumed.samples == whole.samples
    assert resumed.recorded == whole.samples[30:]
    # One job more than samples: the pilot.
    assert len(resumed.jobs) == len(whole.samples) - 30 + 1


def test_a_finished_failure_stays_failed() -> None:
    cell = Cell("churn", "pool")
    failed = Sample(cell, 0, Pass.CHECK, Status.FAILED, "overlap")
    outcome = run(finished={(cell, 0, Pass.CHECK): failed})
    assert [sample for sample in outcome.samples if sample.cell == cell] == [failed]
    assert outcome.recorded != []


def footprints(answer: Callable[[int], Mapping[str, Any]], blocks: int = 6) -> int:
    outcome = run(
        measurable(allocators=("tlsf",)),
        settings=Settings(blocks=blocks, passes=(Pass.FOOTPRINT,)),
        answer=lambda job: answer(job.block) if job.run_pass is Pass.FOOTPRINT else quiet(job),
    )
    return len(outcome.samples)


def test_two_equal_footprints_are_enough() -> None:
    assert footprints(lambda _: footprint()) == 2


@pytest.mark.parametrize("name", ["peak_granted_bytes", "peak_footprint_bytes", "ratio_sum"])
def test_footprints_that_differ_are_repeated_in_every_block(name: str) -> None:
    assert footprints(lambda block: footprint(**{name: block})) == 6


@pytest.mark.parametrize(
    ("residents", "taken"),
    [
        ((10_000_000, 10_100_000), 2),  # 1 % of the larger one is 101,000
        ((10_000_000, 10_200_000), 6),
        ((100_000, 165_536), 2),  # 64 KiB apart
        ((100_000, 165_537), 6),
    ],
)
def test_resident_memory_may_differ_by_1_percent_or_64_kib(residents: tuple[int, int], taken: int) -> None:
    assert footprints(lambda block: footprint(peak_resident_bytes=residents[block % 2])) == taken


def test_one_block_is_one_footprint() -> None:
    assert footprints(lambda _: footprint(), blocks=1) == 1


def test_repeats_beyond_the_second_are_added_to_the_total() -> None:
    totals: list[int] = []
    settings = Settings(blocks=4, passes=(Pass.FOOTPRINT,))
    executor = FakeExecutor(
        lambda job: footprint(ratio_sum=job.block) if job.run_pass is Pass.FOOTPRINT else quiet(job)
    )
    Schedule(executor, settings, lambda _: None, {}, lambda _what, _done, total, _left: totals.append(total)).run(
        [measurable(allocators=("tlsf",))]
    )
    assert totals == [2, 2, 3, 4]


@pytest.mark.parametrize(
    ("null_seconds", "limit"),
    # One warm-up and three replays that count: a null replay of 1 s is 4 s in a process.
    [(0.001, 30.0), (0.375, 30.0), (0.5, 40.0), (1.0, 80.0)],
)
def test_the_time_limit_is_20_times_the_null_replay_and_at_least_30_s(null_seconds: float, limit: float) -> None:
    ticks = int(null_seconds * 1e9 * 2)
    outcome = run(settings=Settings(blocks=1, ns_per_tick=0.5), answer=lambda job: timed(job, ticks))
    limits = {item.run_pass: item.time_limit for item in outcome.jobs[1:]}
    assert limits[Pass.THROUGHPUT] == limits[Pass.LATENCY] == limits[Pass.FOOTPRINT] == pytest.approx(limit)
    assert limits[Pass.CHECK] == pytest.approx(max(30.0, 20 * 4 * 10 * null_seconds))


def test_the_pilot_is_a_null_replay_and_no_sample() -> None:
    outcome = run(settings=Settings(blocks=1))
    pilot = outcome.jobs[0]
    assert (pilot.cell, pilot.run_pass, pilot.time_limit) == (Cell("churn", "null"), Pass.THROUGHPUT, 600.0)
    assert len(outcome.jobs) == len(outcome.samples) + 1


def test_a_pilot_that_fails_leaves_the_least_time_limit() -> None:
    outcome = run(
        settings=Settings(blocks=1), answer=lambda job: "killed" if job.cell.allocator == "null" else quiet(job)
    )
    assert {item.time_limit for item in outcome.jobs[1:] if item.run_pass is not Pass.HEAP} == {30.0}


def test_a_worker_has_at_least_as_long_as_the_user_says() -> None:
    outcome = run(settings=Settings(blocks=1, least_time_limit=200.0))
    assert {job.time_limit for job in outcome.jobs[1:] if job.run_pass is not Pass.HEAP} == {200.0}


def test_where_a_worker_without_any_allocator_dies_nothing_is_measured_and_nobody_blamed() -> None:
    words = "a worker that replays churn on no allocator at all fails: died of no memory"
    with pytest.raises(MemtoolError, match=words):
        run(settings=Settings(blocks=1), answer=lambda _: "died of no memory")


def test_what_a_kind_of_work_asks_for_is_given() -> None:
    outcome = run(replace(measurable(), seconds=300.0), settings=Settings(blocks=1))
    assert {job.time_limit for job in outcome.jobs[1:] if job.run_pass is not Pass.HEAP} == {300.0}


def test_a_given_time_limit_is_for_every_pass_and_needs_no_pilot() -> None:
    outcome = run(settings=Settings(blocks=1, time_limit=5.0))
    assert {job.time_limit for job in outcome.jobs if job.run_pass is not Pass.HEAP} == {5.0}
    assert len(outcome.jobs) == len(outcome.samples)


def test_jobs_carry_the_settings() -> None:
    job = run(settings=Settings(blocks=1, warmups=0, iterations=1, checkpoints=50, use_counter=False)).jobs[-1]
    assert (job.warmups, job.iterations, job.checkpoints, job.use_counter) == (0, 1, 50, False)
    assert (job.image_fd, job.image_bytes, job.region) == (5, 4096, RegionRequest(1 << 30, 4096))


def test_passes_are_in_the_order_in_which_they_run() -> None:
    assert passes_from(("footprint", "check", "footprint")) == (Pass.CHECK, Pass.FOOTPRINT)
    with pytest.raises(ValueError, match="cold"):
        passes_from(("cold",))


PYTHON = replace(plan("mine.py"), adopted=("python", "mine.py", "Heap"))


def limits(operations: int, null_ns: int, own_ns: int | None = None, counter: str = "callgrind") -> dict[str, float]:
    """Return the time limits by pass, and by allocator where it is Python, of a workload whose replays take so long."""
    cells = {Cell("churn", "pool"): plan("pool"), Cell("churn", "mine.py"): PYTHON}
    workload = replace(measurable(), cells=cells, operations=operations)
    outcome = run(
        workload,
        settings=Settings(blocks=1, counter=InstructionCounter(counter), can_count_calls=True),
        answer=lambda job: timed(job, null_ns if own_ns is None or job.cell.allocator == "null" else own_ns),
    )
    return {
        str(job.run_pass) if job.cell.allocator == "pool" else f"python {job.run_pass}": job.time_limit
        for job in outcome.jobs
        if job.cell.allocator != "null" and job.run_pass is not Pass.HEAP
    }


def test_a_loop_without_end_on_a_tiny_workload_ends_in_half_a_minute_whatever_the_pass() -> None:
    assert set(limits(operations=685, null_ns=2000).values()) == {30.0}


def test_an_allocator_in_python_is_given_half_a_millisecond_an_operation_or_a_hundred_times_what_others_are() -> None:
    result = limits(operations=200_000, null_ns=1000)
    assert (result["throughput"], result["python throughput"]) == (30.0, 100.0)
    result = limits(operations=200_000, null_ns=100_000_000)
    # A null replay of 0.1 s is 0.4 s in a worker: 20 times that, and in Python a hundred times as much.
    assert (result["throughput"], result["python throughput"]) == pytest.approx((30.0, 800.0))


def test_what_counts_under_valgrind_is_given_a_third_of_a_millisecond_an_operation() -> None:
    assert limits(operations=200_000, null_ns=1000)["counters"] == pytest.approx(60.0)
    assert limits(operations=200_000, null_ns=1000, counter="perf")["counters"] == 30.0


def test_what_was_seen_to_end_has_twice_its_own_time_in_later_passes() -> None:
    """Replays of 10 s are 40 s in a worker; filling and counting are slower than that as often as than null."""
    result = limits(operations=685, null_ns=1000, own_ns=10_000_000_000)
    native = {item: limit for item, limit in result.items() if "python" not in item}
    assert native == {
        "check": 30.0, "throughput": 30.0, "latency": 80.0, "footprint": 80.0, "counters": 4000.0, "calls": 4000.0
    }  # fmt: skip


def test_arrivals_are_waited_for_in_each_latency_replay_of_every_block_and_of_the_control() -> None:
    workload = replace(measurable(allocators=("tlsf",)), arrivals_seconds=10.0, arrivals=(1,))
    # 4 blocks of 2 cells with 3 replays each.
    assert seconds_waiting(Settings(blocks=4), [workload]) == 240.0
    assert seconds_waiting(Settings(blocks=4, passes=(Pass.THROUGHPUT,)), [workload]) == 0.0
    limits = {job.run_pass: job.time_limit for job in run(workload, settings=Settings(blocks=1)).jobs}
    assert (limits[Pass.LATENCY], limits[Pass.THROUGHPUT]) == (60.0, 30.0)


def test_an_interpreted_allocator_replays_once_without_a_warm_up() -> None:
    workload = replace(measurable(), cells={Cell("churn", "pool"): plan("pool"), Cell("churn", "mine.py"): PYTHON})
    result = run(workload, settings=Settings(blocks=1, passes=(Pass.THROUGHPUT,)))
    asked = {job.cell.allocator: (job.warmups, job.iterations) for job in result.jobs[1:]}
    assert asked == {"pool": (1, 3), "mine.py": (0, 1), "null": (1, 3)}


@pytest.mark.parametrize(
    ("repeats", "counter", "blocks"), [(1, "perf", [0]), (2, "callgrind", [0, 1]), (2, "none", [])]
)
def test_instructions_are_counted_as_often_as_asked_and_never_without_a_counter(
    repeats: int, counter: str, blocks: list[int]
) -> None:
    settings = Settings(passes=(Pass.COUNTERS,), counter=InstructionCounter(counter), counter_repeats=repeats)
    workload = measurable(allocators=("pool",))
    # The null strategy is counted too: what the harness executes.
    expected = [(name, block, Pass.COUNTERS) for name in ("pool", "null") for block in blocks]
    assert run(workload, settings=settings).taken() == expected
    assert counts(settings, [workload]).total() == len(expected)


def test_counts_of_an_interrupted_run_are_not_taken_again() -> None:
    key = (Cell("churn", "pool"), 0, Pass.COUNTERS)
    finished = {key: Sample(*key, Status.OK, None, figures(Pass.COUNTERS))}
    settings = Settings(passes=(Pass.COUNTERS,), counter=InstructionCounter.PERF)
    outcome = run(measurable(allocators=("pool",)), settings=settings, finished=finished)
    assert [sample.cell.allocator for sample in outcome.samples] == ["pool", "null"]
    assert [job.cell.allocator for job in outcome.jobs if job.run_pass is Pass.COUNTERS] == ["null"]


@dataclass
class Crowd:
    """Sees how many jobs of a pass run at the same time.

    Where ``expected`` are to meet, each stays until they do; elsewhere a moment, in which another could come.
    """

    expected: Mapping[Pass, int] = field(default_factory=dict)
    together: dict[Pass, int] = field(default_factory=dict)
    _running: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def execute(self, job: Job) -> Sample:
        with self._changed:
            self._running += 1
            self.together[job.run_pass] = max(self.together.get(job.run_pass, 0), self._running)
            self._changed.notify_all()
            expected = self.expected.get(job.run_pass, 1)
            self._changed.wait_for(
                lambda: self.together[job.run_pass] >= max(expected, 2), timeout=0.05 if expected == 1 else 300
            )
            self._running -= 1
        result = quiet(job)
        assert not isinstance(result, str)
        return sound(job, result)

    def overlap(self, jobs: Sequence[Job], at_once: int, waiting: Sequence[Job] = ()) -> Generator[Sample, None, None]:
        with ThreadPoolExecutor(at_once) as pool, ThreadPoolExecutor(len(waiting) or 1) as beside:
            waited = beside.map(self.execute, waiting)
            yield from pool.map(self.execute, jobs)
            yield from waited


def crowd(
    monkeypatch: pytest.MonkeyPatch, workload: Measurable, settings: Settings, expected: Mapping[Pass, int]
) -> dict[Pass, int]:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    executor = Crowd(expected)
    Schedule(executor, settings, lambda _: None).run([workload])
    return {run_pass: executor.together[run_pass] for run_pass in expected}


def test_what_times_nothing_runs_on_all_processors_and_what_is_timed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {Pass.CHECK: 2, Pass.FOOTPRINT: 2, Pass.THROUGHPUT: 1, Pass.LATENCY: 1}
    assert crowd(monkeypatch, measurable(), Settings(blocks=2), expected) == expected


def test_what_uses_the_disk_runs_alone_in_every_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {Pass.CHECK: 1, Pass.FOOTPRINT: 1}
    assert crowd(monkeypatch, replace(measurable(), alone=True), Settings(blocks=2), expected) == expected


def test_no_two_workers_run_where_memory_holds_but_one(monkeypatch: pytest.MonkeyPatch) -> None:
    large = replace(measurable(), total_bytes=3 << 30)
    for memory, most in ((4 << 30, 1), (7 << 30, 2)):
        settings = Settings(blocks=1, memory_bytes=memory)
        assert crowd(monkeypatch, large, settings, {Pass.CHECK: most}) == {Pass.CHECK: most}


@pytest.mark.parametrize(
    ("company", "samples_of_it"),
    [(Pass.COUNTERS, 6), (Pass.FOOTPRINT, 5)],  # null is counted too; the first footprints show what memory holds
)
def test_heap_passes_wait_beside_what_is_counted_and_repeated(
    monkeypatch: pytest.MonkeyPatch, company: Pass, samples_of_it: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    passes = (company, Pass.HEAP)
    settings = Settings(blocks=2, passes=passes, counter=InstructionCounter.CALLGRIND, memory_bytes=None)
    started = {Pass.HEAP: threading.Event(), company: threading.Event()}
    met: list[bool] = []

    class Meeting(Crowd):
        def execute(self, job: Job) -> Sample:
            if job.run_pass in started and (job.run_pass is not Pass.FOOTPRINT or job.block == 1):
                started[job.run_pass].set()
                met.append(all(event.wait(300) for event in started.values()))
            return super().execute(job)

    samples = Schedule(Meeting(), settings, lambda _: None).run([measurable()])
    assert met == [True] * (5 + samples_of_it)
    assert Counter(sample.run_pass for sample in samples)[Pass.HEAP] == 5


def test_what_threads_replay_is_measured_once_on_one() -> None:
    threaded = replace(measurable(), threads=ThreadPlan(Mode.PARALLEL, 2, 2, 2), serial=(77, 4096))
    jobs = [job for job in run(threaded).jobs if job.run_pass is Pass.FOOTPRINT]
    alone = [job for job in jobs if job.image_fd == 77]
    names = [cell.allocator for cell in threaded.cells]
    assert [job.cell.allocator for job in alone] == names
    assert {(job.cell.mode, job.image_bytes, job.threads) for job in alone} == {("serial", 4096, None)}
    assert {job.threads for job in jobs if job not in alone} == {ThreadPlan(Mode.PARALLEL, 2, 2, 2)}


def test_what_is_not_timed_on_threads_is_not_pinned() -> None:
    threaded = replace(measurable(), threads=ThreadPlan(Mode.LOCKSTEP, 2, 2, 2))
    settings = Settings(blocks=1, counter=InstructionCounter.CALLGRIND)
    pinned = {job.run_pass: job.threads.processors for job in run(threaded, settings=settings).jobs if job.threads}
    assert pinned[Pass.THROUGHPUT] == pinned[Pass.FOOTPRINT] == 2
    assert pinned[Pass.COUNTERS] == pinned[Pass.HEAP] == 0


def test_what_shares_the_processors_begins_behind_the_last_timed_sample() -> None:
    executor = FakeExecutor()
    seen: list[Pass] = []

    def begins() -> None:
        seen.extend(job.run_pass for job in executor.jobs)

    Schedule(executor, Settings(blocks=2), lambda _: None, timing_is_over=begins).run([measurable()])
    timed = [Pass.THROUGHPUT, Pass.LATENCY]
    taken = [job.run_pass for job in executor.jobs]
    assert seen == taken[: len(seen)]
    assert seen[-1] in timed
    assert not any(sample in timed for sample in taken[len(seen) :])
