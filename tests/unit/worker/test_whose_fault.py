"""Whose fault a failed sample is: its allocator's, or the harness's, of which no verdict may come."""

from __future__ import annotations

import signal

import pytest

from memtool.allocators.regions import Backing
from memtool.model import AllocatorPlan, AllocatorSpec, Cell, Status
from memtool.passes import Pass
from memtool.worker import protocol
from memtool.worker.judge import Answer, sample_of
from memtool.worker.parent import Job, RegionRequest

SERVED = {"malloc_owner": "/usr/lib/libc.so.6"}
OWN = AllocatorPlan(AllocatorSpec("tlsf"), "tlsf", "")
PRELOADED = AllocatorPlan(AllocatorSpec("x"), "malloc", "", preload=("/x.so",), expected_owner="x.so")
ADOPTED = AllocatorPlan(AllocatorSpec("./m.so"), "adopted", "", adopted=("library", "/m.so"))


def failed(plan: AllocatorPlan, answer: Answer | None, returncode: int = -9) -> set[str]:
    """Return what is said of a sample that has failed."""
    region = RegionRequest(4096, 4096)
    job = Job(Cell("w", plan.spec.label), 0, Pass.CHECK, plan, 3, 64, region, 0, 1, 1, use_counter=False, time_limit=30)
    sample = sample_of(job, answer, returncode, "")
    assert (sample.status, sample.payload) == (Status.FAILED, None)
    said = {"died": sample.died, "timed out": sample.timed_out, "harness": sample.of_harness}
    return {name for name, is_so in said.items() if is_so}


@pytest.mark.parametrize("plan", [OWN, PRELOADED, ADOPTED], ids=["own", "preloaded", "adopted"])
def test_what_the_engine_cannot_begin_is_the_harness_s(plan: AllocatorPlan) -> None:
    refused = Answer(protocol.BAD_REQUEST, "no memory for a slot table of 7 objects", SERVED)
    assert failed(plan, refused) == {"harness"}


@pytest.mark.parametrize("plan", [OWN, PRELOADED, ADOPTED], ids=["own", "preloaded", "adopted"])
@pytest.mark.parametrize("status", [protocol.WRONG, protocol.OUT_OF_MEMORY])
def test_what_the_engine_finds_is_the_allocator_s(plan: AllocatorPlan, status: int) -> None:
    assert failed(plan, Answer(status, "event 3: overlaps", SERVED)) == set()


def test_a_signal_and_a_loop_without_end_are_the_allocator_s() -> None:
    assert failed(OWN, None, -11) == {"died"}
    assert failed(OWN, Answer(protocol.WRONG, "", timed_out=True)) == {"timed out"}


@pytest.mark.parametrize("number", [signal.SIGXCPU, signal.SIGXFSZ])
def test_a_limit_of_the_users_is_not_the_allocator_s(number: int) -> None:
    assert failed(PRELOADED, None, -number) == {"died", "harness"}


@pytest.mark.parametrize(
    ("backing", "words", "is_ours"),
    [
        (Backing.NONE, "", False),
        (
            Backing.FILE,
            ": no room for a page of the region's file: its disk, that of the results, is full",
            True,
        ),
        (Backing.MEMORY, ": no memory for a page that the region shares", True),
    ],
)
def test_a_disk_that_fills_under_a_region_is_not_the_allocator_s(backing: Backing, words: str, is_ours: bool) -> None:
    region = RegionRequest(4096, 4096, backing=backing, shared=True)
    job = Job(Cell("w", "tlsf"), 0, Pass.CHECK, OWN, 3, 64, region, 0, 1, 1, use_counter=False, time_limit=30)
    sample = sample_of(job, None, -signal.SIGBUS, "")
    assert (sample.reason, sample.of_harness) == (f"the worker was killed by SIGBUS{words}", is_ours)


def test_an_exit_is_the_interpreter_s_where_no_code_of_others_is_in_the_process() -> None:
    assert failed(OWN, None, 1) == {"died", "harness"}
    assert failed(PRELOADED, None, 1) == {"died"}
    assert failed(ADOPTED, None, 1) == {"died"}


def test_what_an_allocator_says_of_its_end_is_one_line_that_commands_no_terminal() -> None:
    region = RegionRequest(4096, 4096)
    job = Job(Cell("w", "tlsf"), 0, Pass.CHECK, OWN, 3, 64, region, 0, 1, 1, use_counter=False, time_limit=30)
    said = sample_of(job, None, -6, "\x1b[31mgone\n::error::x").reason
    assert said == "the worker was killed by SIGABRT: \\x1b[31mgone\\n::error::x"


def test_what_another_malloc_served_says_nothing_of_the_one_that_was_named() -> None:
    assert failed(PRELOADED, Answer(protocol.DONE, "", SERVED)) == {"harness"}
