"""Whether a machine was too noisy, from readings written by hand."""

from __future__ import annotations

from dataclasses import replace

from memtool.model import Cell, Status
from memtool.passes import Noise, Pass, Sample
from memtool.stats.noise import why_noisy
from tests.payloads import figures

CELL = Cell("churn", "tlsf")
QUIET = Noise(elapsed_ns=1_000_000_000, machine_ticks=200, steal_ticks=2, involuntary_switches=25)


def timed(run_pass: Pass = Pass.THROUGHPUT, **changed: int) -> Sample:
    return Sample(CELL, 0, run_pass, Status.OK, None, figures(run_pass), noise=replace(QUIET, **changed))


def null(*ticks: int) -> list[Sample]:
    return [
        Sample(CELL, block, Pass.THROUGHPUT, Status.OK, None, figures(Pass.THROUGHPUT, body_ticks=[item, 2 * item]))
        for block, item in enumerate(ticks)
    ]


def test_at_its_limits_a_machine_is_quiet() -> None:
    assert why_noisy([timed(), timed()], null(*[1000] * 6)) == []
    assert why_noisy([], []) == []


def test_time_that_the_host_took() -> None:
    # 10 of 400 ticks of all processors.
    assert why_noisy([timed(), timed(steal_ticks=8)], []) == ["the host took about 2 % of the processors (limit 1 %)"]


def test_interruptions_are_counted_by_the_second() -> None:
    # 85 in 2.5 s.
    samples = [timed(involuntary_switches=60), timed(Pass.LATENCY, elapsed_ns=1_500_000_000)]
    assert why_noisy(samples, []) == ["its workers were interrupted about 30 times a second (limit 25)"]
    # Two in a hundredth of a second say nothing.
    assert why_noisy([timed(elapsed_ns=10_000_000, involuntary_switches=2)], []) == []


def test_switches_of_threads_that_wait_for_each_other_are_not_the_machines() -> None:
    assert why_noisy([timed(involuntary_switches=100_000, own_switches=99_980)], []) == []
    # What is left of 100,030 is the machine's, and it is too much.
    result = why_noisy([timed(involuntary_switches=100_030, own_switches=100_000)], [])
    assert result == ["its workers were interrupted about 30 times a second (limit 25)"]


def test_only_timed_passes_count() -> None:
    assert why_noisy([timed(), timed(Pass.CHECK, involuntary_switches=1_000)], []) == []


def test_the_spread_of_the_null_strategy() -> None:
    # Quartiles 1000 and 1200 around a median of 1100; the wild one in each direction does not matter.
    blocks = null(500, 1000, 1000, 1100, 1200, 1200, 9000)
    assert why_noisy([timed()], blocks) == ["the null strategy's time spread by 18 % over the blocks (limit 10 %)"]
    assert why_noisy([timed()], blocks[:5]) == []
