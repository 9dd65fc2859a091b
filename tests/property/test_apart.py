"""Metadata apart: the same addresses as with metadata in the heap, event by event, and no byte of it touched."""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memtool.engine.abi.binding import Heap
from memtool.engine.loading import engine_path
from tests.conftest import ROOT

POLICIES = st.tuples(
    st.sampled_from(["first", "next", "best", "worst"]),
    st.sampled_from(["address", "lifo", "fifo", "size-ascending", "size-descending"]),
    st.sampled_from(["immediate", "deferred", "none"]),
    st.sampled_from(["order", "place"]),
)
EVENTS = st.lists(st.tuples(st.booleans(), st.integers(1, 600)), min_size=1, max_size=120)
LAYOUT = "header=8,footer=8,minimum=48"
_NO_ACCESS = 0
APART = ["free-list structure=apart", "bump ", "arena "]
"""Strategies that write nothing to the memory that they hand out."""


@given(POLICIES, EVENTS)
@settings(max_examples=150)
def test_a_policy_gives_the_same_addresses_wherever_its_metadata_lie(
    policy: tuple[str, str, str, str], events: list[tuple[bool, int]]
) -> None:
    fit, order, coalescing, remainder = policy
    words = f"fit={fit},order={order},coalescing={coalescing},remainder={remainder},{LAYOUT}"
    with (
        Heap("free-list", f"structure=explicit,{words}", capacity=1 << 20) as within,
        Heap("free-list", f"structure=apart,{words}", capacity=1 << 20) as apart,
    ):
        live: list[tuple[int, int]] = []
        for is_free, number in events:
            if is_free and live:
                offset, size = live.pop(number % len(live))
                within.deallocate(offset, size)
                apart.deallocate(offset, size)
                continue
            first, second = within.allocate(number), apart.allocate(number)
            assert first == second
            if first is not None:
                live.append((first, number))


def drive(strategy: str, parameters: str) -> None:
    """Allocate and free on memory that cannot be read or written: whoever touches it dies."""
    with Heap(strategy, parameters, capacity=1 << 24) as heap:
        assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(heap.base), 1 << 24, _NO_ACCESS) == 0
        draw = random.Random(1)
        live: list[tuple[int, int]] = []
        for _ in range(2000):
            if live and draw.random() < 0.45:
                heap.deallocate(*live.pop(draw.randrange(len(live))))
            elif (offset := heap.allocate(size := draw.randrange(1, 2000))) is not None:
                live.append((offset, size))
        assert len(live) > 50
        heap.check()
        assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(heap.base), 1 << 24, mmap.PROT_READ | mmap.PROT_WRITE) == 0


@pytest.mark.parametrize(("of", "code"), [*((name, 0) for name in APART), ("tlsf ", -11), ("buddy ", -11)])
def test_what_keeps_its_metadata_apart_touches_no_block(of: str, code: int) -> None:
    strategy, parameters = of.split(" ")
    call = f"from tests.property.test_apart import drive; drive({strategy!r}, {parameters!r})"
    environment = {**os.environ, "MEMTOOL_ENGINE": str(engine_path()), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", call], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == code, done.stderr[-2000:]
