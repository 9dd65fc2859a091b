"""Whose fault a failed sample is: its allocator's, or the harness's, of which no verdict may come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Pass, Status
from memtool.worker import protocol
from memtool.worker.parent import Job, RegionRequest, _sample

SERVED = {"proof": {"malloc_owner": "/usr/lib/libc.so.6"}}
OWN = AllocatorPlan(AllocatorSpec("tlsf"), "tlsf", "")
PRELOADED = AllocatorPlan(AllocatorSpec("x"), "malloc", "", preload=("/x.so",), expected_owner="x.so")
ADOPTED = AllocatorPlan(AllocatorSpec("./m.so"), "adopted", "", adopted=("library", "/m.so"), files=("/m.so",))


def failed(plan: AllocatorPlan, answer: Mapping[str, Any] | None, returncode: int = -9) -> dict[str, Any]:
    """Return the payload of a sample that has failed."""
    region = RegionRequest(4096, 4096)
    job = Job(Cell("w", plan.spec.label), 0, Pass.CHECK, plan, 3, 64, region, 0, 1, 1, use_counter=False, time_limit=30)
    sample = _sample(job, answer, returncode, "")
    assert sample.status is Status.FAILED
    return dict(sample.payload)


@pytest.mark.parametrize("plan", [OWN, PRELOADED, ADOPTED], ids=["own", "preloaded", "adopted"])
def test_what_the_engine_cannot_begin_is_the_harness_s(plan: AllocatorPlan) -> None:
    refused = {"status": protocol.BAD_REQUEST, "message": "no memory for a slot table of 7 objects", **SERVED}
    assert failed(plan, refused)["harness"]


@pytest.mark.parametrize("plan", [OWN, PRELOADED, ADOPTED], ids=["own", "preloaded", "adopted"])
@pytest.mark.parametrize("status", [protocol.WRONG, protocol.OUT_OF_MEMORY])
def test_what_the_engine_finds_is_the_allocator_s(plan: AllocatorPlan, status: int) -> None:
    assert "harness" not in failed(plan, {"status": status, "message": "event 3: overlaps", **SERVED})


def test_a_signal_and_a_loop_without_end_are_the_allocator_s() -> None:
    assert failed(OWN, None, -11) == {"died": True}
    assert failed(OWN, {"timed_out": True}) == {"timed_out": True}


def test_an_exit_is_the_interpreter_s_where_no_code_of_others_is_in_the_process() -> None:
    assert failed(OWN, None, 1) == {"died": True, "harness": True}
    assert failed(PRELOADED, None, 1) == {"died": True}
    assert failed(ADOPTED, None, 1) == {"died": True}


def test_what_another_malloc_served_says_nothing_of_the_one_that_was_named() -> None:
    assert failed(PRELOADED, {"status": protocol.DONE, **SERVED})["harness"]
