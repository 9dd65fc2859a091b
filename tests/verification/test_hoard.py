"""Hoard's result: heaps that keep foreign blocks grow without bound under producer and consumer; ownership bounds them.

Berger, McKinley, Blumofe, Wilson: "Hoard: a scalable memory allocator for multithreaded applications", ASPLOS 2000,
section 2.2. In lockstep the live bytes are bounded by the queue, so growth is the heap's own.
"""

from __future__ import annotations

import pytest

from memtool.model import Mode, Pass
from tests.integration.test_threads import take


def footprint(strategy: str, parameters: str, allocations: int) -> int:
    content = {
        "name": "queue",
        "threads": 2,
        "allocations": allocations,
        "pattern": {"producer-consumer": {"batch": 500, "depth": 2, "size": 64}},
    }
    sample = take(content, Mode.LOCKSTEP, Pass.FOOTPRINT, strategy, parameters=parameters)
    assert sample.reason is None
    assert sample.payload["peak_live_bytes"] == 500 * 2 * 64
    return int(sample.payload["peak_footprint_bytes"])


def test_heaps_that_keep_foreign_blocks_grow_with_the_work() -> None:
    assert footprint("thread-heaps", "foreign=keep", 10_000) >= 10_000 * 64
    assert footprint("thread-heaps", "foreign=keep", 40_000) >= 40_000 * 64


@pytest.mark.parametrize("strategy", ["thread-heaps", "thread-cache", "thread-pool"])
def test_what_gives_blocks_back_is_bounded(strategy: str) -> None:
    bounded = footprint(strategy, "", 10_000)
    assert footprint(strategy, "", 40_000) == bounded
    assert bounded <= 4 * 500 * 2 * 64
