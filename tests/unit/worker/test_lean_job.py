"""What memtool shares with a lean worker, and when it takes it for an answer."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from memtool.worker.answer import TimedOut
from memtool.worker.lean_job import LeanJob

REQUEST: dict[str, Any] = {
    "environment": {"LD_PRELOAD": "/opt/a b/libmine.so", "MALLOC_CONF": "abort:true", "PATH": "/bin"},
    "figures": ("throughput", 8, b"given", 64),
    "strategy": "pool",
    "parameters": "block=64",
    "adopted": None,
    "kind": "heap",
    "way": "",
    "kernel": None,
    "version": ("mi_version", "mimalloc"),
    "threads": None,
    "region": (1 << 20, 4096, (), 0, 0, None),
    "image": (7, 4096),
    "warmups": 1,
    "iterations": 3,
    "use_counter": 1,
    "is_paced": 0,
    "image_window": 0,
    "ns_per_tick": 0.5,
    "one_processor": 0,
    "resident": 0,
}


@pytest.fixture
def job() -> Iterator[LeanJob]:
    with closing(LeanJob(REQUEST, ("/nowhere/memtool-lean",), "/nowhere/libmemtool_engine.so")) as made:
        yield made


@pytest.fixture
def ended() -> Iterator[int]:
    """Return a process that ends, and is waited for later."""
    with subprocess.Popen(["true"]) as process:
        yield process.pid


def test_a_worker_that_ends_without_having_finished_is_no_answer(job: LeanJob, ended: int) -> None:
    assert job.answer(ended, time.monotonic() + 60) is None


def test_what_was_finished_is_the_answer_with_its_proof(job: LeanJob, ended: int) -> None:
    head = job._head
    head.finished = 1
    head.before.elapsed_ns, head.after.elapsed_ns, head.result.own_switches = 10, 35, 2
    head.malloc_owner, head.malloc_build_id, head.malloc_version = b"/opt/a b/libmine.so", b"c0de", b"2.0.9"
    head.code = (
        b"11 22 33 /opt/a b/libmine.so\n0 0 0 /home/me/lib old.so (deleted)\n"
        b"4 5 6 /usr/lib/libc.so.6\n7 8 9 /memfd:image (deleted)\n"
    )
    answer = job.answer(ended, time.monotonic() + 60)
    assert answer is not None
    assert answer["noise"] == {
        "elapsed_ns": 25,
        "machine_ticks": 0,
        "steal_ticks": 0,
        "involuntary_switches": 0,
        "voluntary_switches": 0,
        "own_switches": 2,
    }
    assert answer["proof"] == {
        "malloc_owner": "/opt/a b/libmine.so",
        "malloc_build_id": "c0de",
        "version": "2.0.9",
        "tuning": {"LD_PRELOAD": "/opt/a b/libmine.so", "MALLOC_CONF": "abort:true"},
        "code": {"/opt/a b/libmine.so": (11, 22, 33), "/home/me/lib old.so": (0, 0, 0)},
    }
    assert answer["figures"] == b"given" + bytes(59)


def test_one_that_goes_on_has_until_its_deadline(job: LeanJob) -> None:
    process = subprocess.Popen(["sleep", "60"])
    try:
        with pytest.raises(TimedOut):
            job.answer(process.pid, time.monotonic() + 0.05)
    finally:
        process.kill()
        process.wait()


def test_a_worker_cannot_cut_off_what_memtool_reads(job: LeanJob) -> None:
    with pytest.raises(PermissionError):
        os.ftruncate(job.descriptors[0], 0)
