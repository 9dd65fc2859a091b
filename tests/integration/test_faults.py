"""Strategies that really crash, loop, overlap, lie: each costs its own sample and is named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import CHOSEN, Pass, Sample
from memtool.worker.parent import Job, RegionRequest, WorkerExecutor
from tests.images import churn, image_fd, make_image

GIB = 1 << 30
PASSES = [item for item in CHOSEN if item is not Pass.COUNTERS]
"""Those that every machine has; counting instructions is tested by itself."""


@pytest.fixture
def executor(faulty_engine: Path, monkeypatch: pytest.MonkeyPatch) -> WorkerExecutor:
    monkeypatch.setenv("MEMTOOL_ENGINE", str(faulty_engine))
    return WorkerExecutor(seed=1)


@pytest.fixture
def image() -> Iterator[tuple[int, int]]:
    made = make_image(churn(400))
    descriptor = image_fd(made)
    yield descriptor, len(made)
    os.close(descriptor)


def take(
    executor: WorkerExecutor,
    image: tuple[int, int],
    strategy: str,
    run_pass: Pass = Pass.CHECK,
    *,
    time_limit: float = 20.0,
    region_bytes: int = GIB,
    expected_owner: str | None = None,
    plan: AllocatorPlan | None = None,
) -> Sample:
    plan = plan or AllocatorPlan(AllocatorSpec(strategy), strategy, "", expected_owner=expected_owner)
    return executor.execute(
        Job(
            cell=Cell("fixture", strategy),
            block=0,
            run_pass=run_pass,
            plan=plan,
            image_fd=image[0],
            image_bytes=image[1],
            region=RegionRequest(region_bytes, 2 << 20),
            warmups=0,
            iterations=1,
            checkpoints=10,
            use_counter=False,
            time_limit=time_limit,
        )
    )


@pytest.mark.parametrize("run_pass", PASSES)
def test_a_sound_strategy_passes_every_pass(executor: WorkerExecutor, image: tuple[int, int], run_pass: Pass) -> None:
    sample = take(executor, image, "sound", run_pass)
    assert (sample.status, sample.reason) == (Status.OK, None)


def test_a_crash_is_named_by_its_signal(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    sample = take(executor, image, "crashes")
    assert (sample.status, sample.reason) == (Status.FAILED, "the worker was killed by SIGSEGV")


def test_an_endless_loop_is_killed_at_its_time_limit(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    sample = take(executor, image, "loops-forever", time_limit=1.0)
    assert sample.status is Status.FAILED
    assert (
        sample.reason == "no answer within 1 s: killed (an endless loop, or too slow; --time-limit SECONDS allows more)"
    )


@pytest.mark.parametrize(
    ("strategy", "event", "words"),
    [
        ("overlaps", 99, "overlapping blocks: "),
        ("misaligns", 99, "misaligned block: "),
        ("escapes", 99, "block outside the region: "),
        ("overwrites", 449, "contents changed: "),  # when the victim, object 98, is freed
    ],
)
def test_wrong_blocks_are_named(
    executor: WorkerExecutor, image: tuple[int, int], strategy: str, event: int, words: str
) -> None:
    sample = take(executor, image, strategy)
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert sample.reason.startswith(f"event {event}: {words}")


@pytest.mark.parametrize(
    ("recipe", "run_pass", "words"),
    [
        ("overwrites+redzone", Pass.CHECK, "event 111: underrun of the block of 64 bytes at 0x"),
        ("overwrites+redzone", Pass.THROUGHPUT, "underrun of the block of 64 bytes at 0x"),
        ("overwrites+redzone", Pass.LATENCY, "underrun of the block of 64 bytes at 0x"),
        ("overwrites+redzone", Pass.FOOTPRINT, "underrun of the block of 64 bytes at 0x"),
        ("overwrites+redzone+lock", Pass.THROUGHPUT, "underrun of the block of 64 bytes at 0x"),
        ("overlaps+redzone", Pass.CHECK, "event 99: overlapping blocks: "),
        ("runs-out+redzone", Pass.CHECK, "out of memory at event 99, for a request of 64 bytes"),
    ],
)
def test_adaptors_name_what_they_detect_in_every_pass(
    executor: WorkerExecutor, image: tuple[int, int], recipe: str, run_pass: Pass, words: str
) -> None:
    sample = take(executor, image, recipe, run_pass)
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert sample.reason.startswith(words)
    if "underrun" in words:
        # The check pass verifies the heap now and then; in the others it is found when the victim is freed.
        result = 111 if run_pass is Pass.CHECK else 449
        assert sample.reason.endswith(f"(allocated at operation 98) by 32 bytes, found at operation {result}")


def test_a_trap_of_the_guard_page_is_named(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    plan = AllocatorPlan(AllocatorSpec("overwrites"), "overwrites+guard", "+side=before")
    sample = take(executor, image, "overwrites+guard", Pass.THROUGHPUT, plan=plan)
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert re.fullmatch(
        r"the worker was killed by SIGSEGV: underrun of the block of 64 bytes at 0x[0-9a-f]+ "
        r"\(allocated at operation 98\) by 4096 bytes, trapped after operation 99",
        sample.reason,
    )


@pytest.mark.parametrize("run_pass", PASSES)
@pytest.mark.parametrize(
    "recipe",
    ["sound+virtual", "sound+lock", "sound+fill+redzone+guard+quarantine+leak+track+pad", "malloc+redzone+lock"],
)
def test_a_sound_strategy_passes_every_pass_under_adaptors(
    executor: WorkerExecutor, image: tuple[int, int], recipe: str, run_pass: Pass
) -> None:
    sample = take(executor, image, recipe, run_pass)
    assert (sample.status, sample.reason) == (Status.OK, None)


def test_stats_that_cannot_be_true_are_named(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    sample = take(executor, image, "lies")
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert "stats() claims fewer granted bytes" in sample.reason


@pytest.mark.parametrize("run_pass", PASSES)
def test_running_out_of_memory_names_the_event(
    executor: WorkerExecutor, image: tuple[int, int], run_pass: Pass
) -> None:
    sample = take(executor, image, "runs-out", run_pass)
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert sample.reason.startswith("out of memory at event 99, for a request of 64 bytes: ")


def test_a_region_that_is_too_small_is_out_of_memory(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    sample = take(executor, image, "sound", region_bytes=4096)
    assert sample.reason is not None
    assert sample.reason.startswith("out of memory at event 51, for a request of 64 bytes: ")
    assert " of 4096 bytes taken" in sample.reason


def test_another_library_than_named_fails_the_proof(executor: WorkerExecutor, image: tuple[int, int]) -> None:
    sample = take(executor, image, "malloc", Pass.THROUGHPUT, expected_owner="libjemalloc")
    assert sample.status is Status.FAILED
    assert sample.reason is not None
    assert sample.reason.endswith("not by libjemalloc")


ORPHAN = """
import sys
sys.path.insert(0, {root!r})

from memtool.worker.parent import WorkerExecutor
from tests.images import churn, image_fd, make_image
from tests.integration.test_faults import take
made = make_image(churn(400))
print("ready", flush=True)
take(WorkerExecutor(1), (image_fd(made), len(made)), "loops-forever", time_limit=60.0)
"""


def test_no_worker_survives_a_killed_parent(faulty_engine: Path, memtool_environment: dict[str, str]) -> None:
    environment = {**memtool_environment, "MEMTOOL_ENGINE": str(faulty_engine)}
    root = str(Path(__file__).parent.parent.parent)
    parent = subprocess.Popen([sys.executable, "-c", ORPHAN.format(root=root)], env=environment, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    parent.stdout.readline()
    worker = wait_for_child(parent.pid)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    assert gone(worker)


def wait_for_child(pid: int) -> int:
    """Return the process id of the worker once it replays (its main thread is running, not waiting for a request)."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    for _ in range(15_000):
        result = children.read_text().split()
        if result and "faulty_engine" in Path(f"/proc/{result[0]}/maps").read_text():
            return int(result[0])
        time.sleep(0.02)
    raise AssertionError("no worker was started")


def gone(pid: int) -> bool:
    """Return whether the process ends within a minute."""
    for _ in range(3_000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False
