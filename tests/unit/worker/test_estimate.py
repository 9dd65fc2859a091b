"""What is promised of the time that a run still takes, on a clock that the test moves."""

from __future__ import annotations

import pytest

from memtool.passes import Pass
from memtool.worker.estimate import Estimate


class Machine:
    """A clock, and passes of which each sample takes as long as it is told."""

    def __init__(self, **expected: int) -> None:
        self.now = 100.0
        self.estimate = Estimate(clock=lambda: self.now)
        self.estimate.expect({Pass(name): count for name, count in expected.items()})

    def take(self, run_pass: Pass, seconds: float) -> float | None:
        """Return what is promised when a sample begins, and let it end."""
        self.estimate.begin(run_pass)
        left = self.estimate.seconds_left()
        self.now += seconds
        return left


def test_nothing_is_promised_before_a_sample_has_ended() -> None:
    assert Machine(throughput=3).take(Pass.THROUGHPUT, 2) is None


def test_samples_of_one_length_are_promised_exactly() -> None:
    machine = Machine(throughput=4)
    assert [machine.take(Pass.THROUGHPUT, 2) for _ in range(4)] == [None, 6, 4, 2]


def test_each_pass_has_a_length_of_its_own() -> None:
    machine = Machine(throughput=3, latency=3)
    promised = [
        machine.take(item, seconds) for _ in range(3) for item, seconds in ((Pass.THROUGHPUT, 1), (Pass.LATENCY, 5))
    ]
    # Once both are known: 2 of 1 s and 2 of 5 s, and so on.
    assert promised[2:] == [12, 11, 6, 5]


def test_a_pass_of_which_none_is_done_is_promised_by_what_it_usually_takes() -> None:
    machine = Machine(throughput=2, latency=2)
    machine.take(Pass.THROUGHPUT, 1)
    assert machine.take(Pass.THROUGHPUT, 1) == 1 + 2 * 3


def test_what_an_interrupted_run_has_taken_counts_for_nothing() -> None:
    machine = Machine(throughput=5)
    for _ in range(2):
        machine.estimate.skip(Pass.THROUGHPUT)
    assert [machine.take(Pass.THROUGHPUT, 3) for _ in range(3)] == [None, 6, 3]


@pytest.mark.parametrize("more", [1, 4])
def test_repeats_that_come_up_are_added(more: int) -> None:
    machine = Machine(footprint=2)
    machine.take(Pass.FOOTPRINT, 1)
    machine.estimate.expect({Pass.FOOTPRINT: more})
    assert machine.take(Pass.FOOTPRINT, 1) == 1 + more
