"""Allocators that exit, write into the pipe of the answer, close it, leave children: each costs its sample alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass, Sample
from memtool.worker import answer
from memtool.worker.evidence import Evidence
from memtool.worker.parent import Interrupted, Job, RegionRequest, WorkerExecutor
from tests.images import churn, image_fd, make_image
from tests.unit.allocators.test_shared_library import REPLACEMENT

HEAP = """
import os, stat, sys, time
{before}
class Heap:
    def __init__(self, region):
        self.region = region
        {made}
    def allocate(self, size, alignment):
        return self.region.grow(size + 15 & -16)
    def deallocate(self, offset, size, alignment):
        pass
"""
PIPES = "[fd for fd in range(3, 64) if os.path.exists(f'/proc/self/fd/{fd}') and stat.S_ISFIFO(os.fstat(fd).st_mode)]"


@pytest.fixture(scope="module")
def image() -> Iterator[tuple[int, int]]:
    made = make_image(churn(50))
    descriptor = image_fd(made)
    yield descriptor, len(made)
    os.close(descriptor)


def job(image: tuple[int, int], plan: AllocatorPlan, run_pass: Pass = Pass.THROUGHPUT, limit: float = 60.0) -> Job:
    return Job(
        cell=Cell("churn", plan.spec.label),
        block=0,
        run_pass=run_pass,
        plan=plan,
        image_fd=image[0],
        image_bytes=image[1],
        region=RegionRequest(1 << 24, 4096),
        warmups=0,
        iterations=1,
        checkpoints=4,
        use_counter=False,
        time_limit=limit,
    )


def heap(folder: Path, made: str = "pass", before: str = "") -> AllocatorPlan:
    path = folder / "mine.py"
    path.write_text(HEAP.format(made=made, before=before), encoding="utf-8")
    return AllocatorPlan(AllocatorSpec("mine.py:Heap"), "adopted", "", adopted=("python", str(path), "Heap"))


def take(image: tuple[int, int], plan: AllocatorPlan) -> Sample:
    return WorkerExecutor(seed=1).execute(job(image, plan))


def is_gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


@pytest.mark.parametrize(
    ("made", "before", "words"),
    [
        ("os._exit(7)", "", "the worker ended with status 7 and no answer"),
        ("pass", "os._exit(0)", "the worker ended with status 0 and no answer"),
        (
            f"[os.write(fd, b'\\xa9 is no answer, and is longer') for fd in {PIPES}]",
            "",
            "the worker wrote what is no answer into the pipe of its answer",
        ),
        (
            "write = os.write; os.write = lambda fd, data: (write(fd, data[:40]), os._exit(0))",
            "",
            "the worker wrote what is no answer into the pipe of its answer",
        ),
        (
            f"[os.close(fd) for fd in {PIPES}]; time.sleep(60)",
            "",
            "the worker closed the pipe of its answer, and went on",
        ),
    ],
)
def test_what_is_no_answer_costs_the_sample(
    image: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: str, before: str, words: str
) -> None:
    monkeypatch.setattr(answer, "_GRACE_SECONDS", 0.3)
    sample = take(image, heap(tmp_path, made, before))
    assert (sample.status, sample.reason) == (Status.FAILED, words)


@pytest.mark.timeout(300)  # the children sleep for longer, with the pipe of the answer open
@pytest.mark.parametrize("leaves", ["", "os.setsid(); os.fork() and os._exit(0); "])
@pytest.mark.parametrize(("dies", "status"), [("", Status.OK), ("os.kill(os.getpid(), 9)", Status.FAILED)])
def test_children_of_an_allocator_end_with_its_worker(
    image: tuple[int, int], tmp_path: Path, leaves: str, dies: str, status: Status
) -> None:
    child = f"{leaves}open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(900)"
    wait = f"while not os.path.exists({str(tmp_path / 'pid')!r}): time.sleep(0.01)"
    made = f"if os.fork() == 0: exec({child!r})\n        {wait}\n        time.sleep(0.05)\n        {dies}"
    sample = take(image, heap(tmp_path, made))
    assert sample.status is status
    assert is_gone(int((tmp_path / "pid").read_text(encoding="ascii")))


@pytest.mark.parametrize("run_pass", [Pass.CHECK, Pass.THROUGHPUT, Pass.LATENCY, Pass.FOOTPRINT, Pass.HEAP])
def test_no_interpreter_is_started_for_what_is_not_written_in_python(
    image: tuple[int, int], monkeypatch: pytest.MonkeyPatch, run_pass: Pass
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sample = WorkerExecutor(seed=1).execute(job(image, AllocatorPlan(AllocatorSpec("glibc"), "malloc", ""), run_pass))
    assert (sample.status, sample.reason) == (Status.OK, None)
    assert Path(sample.proof["malloc_owner"]).name == "libc.so.6"
    assert {Path(path).name for path in sample.proof["code"]} >= {"memtool-lean", "libmemtool_engine.so"}


# A workload of one allocation, all passes. Counting was done before the heap passes had waited for their
# memory, and its end killed them: "heap pass, block 0: the worker was killed by SIGKILL", exit code 1.
@pytest.mark.timeout(300)
def test_samples_that_have_ended_end_none_that_are_taken_beside_them(image: tuple[int, int], tmp_path: Path) -> None:
    begun, ended = tmp_path / "begun", tmp_path / "ended"
    waits = f"open({str(begun)!r}, 'w').close()"
    waits += f"\n        while not os.path.exists({str(ended)!r}): time.sleep(0.01)"
    slow, quick = (tmp_path / name for name in ("slow", "quick"))
    slow.mkdir()
    quick.mkdir()
    executor = WorkerExecutor(seed=1)
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(lambda: list(executor.overlap([job(image, heap(slow, waits))], 1)))
        while not begun.exists() and not waiting.done():
            time.sleep(0.01)
        with closing(executor.overlap([job(image, heap(quick))] * 2, 2)) as samples:
            assert [next(samples).status for _ in range(2)] == [Status.OK] * 2
        ended.touch()
        assert [(item.status, item.reason) for item in waiting.result()] == [(Status.OK, None)]


def endless(folder: Path) -> AllocatorPlan:
    """Return an allocator that never comes to an answer."""
    (folder / "endless").mkdir()
    says = f"open({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))"
    plan = heap(folder / "endless", f"{says}\n        while True: time.sleep(1)")
    return replace(plan, spec=AllocatorSpec("endless"))


@pytest.mark.timeout(300)
def test_one_that_never_ends_costs_no_other_of_its_batch(image: tuple[int, int], tmp_path: Path) -> None:
    plans = [endless(tmp_path), heap(tmp_path), AllocatorPlan(AllocatorSpec("glibc"), "malloc", "")]
    jobs = [job(image, plan, Pass.HEAP, limit=2.0 if plan is plans[0] else 250.0) for plan in plans]
    result = {sample.cell.allocator: (sample.status, sample.reason) for sample in WorkerExecutor(1).overlap(jobs, 3)}
    assert result == {
        "endless": (
            Status.FAILED,
            "no answer within 2 s: killed (an endless loop, or too slow; --time-limit SECONDS allows more)",
        ),
        "mine.py:Heap": (Status.OK, None),
        "glibc": (Status.OK, None),
    }


@pytest.mark.timeout(300)
def test_what_is_interrupted_ends_all_that_runs_beside_it(image: tuple[int, int], tmp_path: Path) -> None:
    # Ctrl-C while instructions were counted waited for each worker's time limit.
    never, soon = endless(tmp_path), heap(tmp_path)
    executor = WorkerExecutor(seed=1)
    samples = executor.overlap([job(image, plan, limit=600.0) for plan in (never, soon, never)], 2)
    assert next(samples).cell.allocator == "mine.py:Heap"
    samples.close()
    assert executor.execute(job(image, soon)).status is Status.OK


@pytest.mark.timeout(300)
def test_what_memtool_itself_ends_is_no_failed_sample(image: tuple[int, int], tmp_path: Path) -> None:
    # A heap pass waits beside the counts. When those are interrupted it is ended too, and a failed sample in the
    # journal would take its cell out of the resumed run.
    never, soon = endless(tmp_path), heap(tmp_path)
    (tmp_path / "beside").mkdir()
    alone = endless(tmp_path / "beside")
    executor = WorkerExecutor(seed=1)
    counts = executor.overlap([job(image, plan, limit=600.0) for plan in (never, soon, never)], 2)
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(lambda: list(executor.overlap([job(image, alone, limit=600.0)], 1)))
        assert next(counts).status is Status.OK
        while not (tmp_path / "beside" / "pid").exists():
            time.sleep(0.01)
        counts.close()
        with pytest.raises(Interrupted):
            waiting.result()


@pytest.mark.timeout(300)
def test_a_worker_that_is_started_while_memtool_stops_ends_too(
    image: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was started beside it ended first, and took the word that memtool stops with it.
    (tmp_path / "late").mkdir()
    never, late = endless(tmp_path), endless(tmp_path / "late")
    started, stopped = threading.Event(), threading.Event()
    start = subprocess.Popen

    def slowly(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = start(*arguments, **options)
        if threading.current_thread().name.startswith("late"):
            started.set()
            stopped.wait()
        return process

    monkeypatch.setattr(subprocess, "Popen", slowly)
    executor = WorkerExecutor(seed=1)

    def taken(plan: AllocatorPlan) -> list[Sample]:
        threading.current_thread().name = "late" if plan is late else "never"
        return [executor.execute(job(image, plan, limit=600.0))]

    with ThreadPoolExecutor(2) as beside:
        samples = executor.overlap([job(image, heap(tmp_path)), job(image, never, limit=600.0)], 2)
        assert next(samples).status is Status.OK
        waiting = beside.submit(taken, late)
        started.wait()
        samples.close()
        stopped.set()
        with pytest.raises(Interrupted):
            waiting.result()


@pytest.mark.timeout(300)
def test_an_interrupt_ends_the_worker_and_is_handed_on(image: tuple[int, int], tmp_path: Path) -> None:
    pid, plan = tmp_path / "pid", endless(tmp_path)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)

    def interrupt() -> None:
        while not pid.exists() or not pid.read_text(encoding="ascii"):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGALRM)

    try:
        with ThreadPoolExecutor(1) as beside:
            beside.submit(interrupt)
            with pytest.raises(KeyboardInterrupt):
                WorkerExecutor(seed=1).execute(job(image, plan, limit=600.0))
    finally:
        signal.signal(signal.SIGALRM, before)
    assert is_gone(int(pid.read_text(encoding="ascii")))


def test_a_module_that_is_changed_between_two_samples_is_noticed(image: tuple[int, int], tmp_path: Path) -> None:
    plan = heap(tmp_path, before="import helper")
    (tmp_path / "helper.py").write_text("ROUND = 16\n", encoding="utf-8")
    executor, evidence = WorkerExecutor(seed=1), Evidence()
    assert evidence.hold(executor.execute(job(image, plan))).status is Status.OK
    os.utime(tmp_path / "helper.py")  # touched, but the same
    assert evidence.hold(executor.execute(job(image, plan))).status is Status.OK
    (tmp_path / "helper.py").write_text("ROUND = 32\n", encoding="utf-8")
    replaced = evidence.hold(executor.execute(job(image, plan)))
    assert (replaced.status, replaced.reason) == (
        Status.FAILED,
        f"{tmp_path}/helper.py was replaced during the run: its samples would be of two builds",
    )


def test_a_malloc_that_is_replaced_between_two_samples_is_noticed(image: tuple[int, int], tmp_path: Path) -> None:
    path, source = tmp_path / "libmine.so", tmp_path / "mine.c"
    source.write_text(REPLACEMENT, encoding="ascii")
    flags = ["-shared", "-fPIC", "-O1", "-DALLOCATE", "-DREST", "-Wl,--build-id=none"]
    plan = AllocatorPlan(AllocatorSpec("./libmine.so"), "malloc", "", preload=(str(path),), expected_owner=path.name)
    executor, evidence = WorkerExecutor(seed=1), Evidence()
    held = []
    for build in ("-DFIRST", "-Dheap=other_heap"):
        subprocess.run(["cc", *flags, build, "-o", path, source], check=True)
        for run_pass in (Pass.THROUGHPUT, Pass.FOOTPRINT):  # the second in a program of its own
            held.append(evidence.hold(executor.execute(job(image, plan, run_pass))))
    reason = f"{path} was replaced during the run: its samples would be of two builds"
    assert [item.reason for item in held] == [None, None, reason, reason]


def test_an_interrupt_while_workers_are_started_ends_those_that_have_begun(
    image: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = WorkerExecutor(seed=1)
    started: list[int] = []
    submit = ThreadPoolExecutor.submit

    def interrupted(pool: ThreadPoolExecutor, *task: Any) -> Any:
        if not started:
            future = submit(pool, *task)
            while not executor._live:
                time.sleep(0.01)
            started.extend(process.pid for process in executor._live)
            return future
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadPoolExecutor, "submit", interrupted)
    never = heap(tmp_path, made="time.sleep(3600)")
    with pytest.raises(KeyboardInterrupt):
        list(executor.overlap([job(image, never, limit=600.0)] * 2, 2))
    assert [is_gone(pid) for pid in started] == [True]
