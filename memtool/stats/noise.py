"""Detects whether the machine was too noisy while a cell was timed. docs/measurement.md gives the rule and reasons."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

from memtool.model import Status
from memtool.passes import PACE, Phase, Sample

MOST_STOLEN = 0.01
"""Share of the processors' time that the host took."""
MOST_SWITCHES = 25.0
"""Times a second that the worker was preempted by another process."""
MOST_SPREAD = 0.10
"""Interquartile range of the null strategy's time over the blocks, as a share of its median."""
_LEAST_BLOCKS = 6
_LEAST_SECONDS = 0.1
_LEAST_TICKS = 100
"""Ticks of all processors together: with fewer, a single stolen tick is more than a hundredth."""


def why_noisy(samples: Sequence[Sample], null_samples: Sequence[Sample]) -> list[str]:
    """Return the disturbances of a cell's timed samples, in words; empty for a quiet machine.

    ``null_samples`` are those of the null strategy in the same region, which does the same in every block.
    """
    reasons = []
    readings = [
        sample.noise for sample in samples if sample.run_pass.declared.phase is Phase.TIMED and sample.noise is not None
    ]
    ticks = sum(reading.machine_ticks for reading in readings)
    stolen = sum(reading.steal_ticks for reading in readings) / ticks if ticks >= _LEAST_TICKS else 0.0
    if stolen > MOST_STOLEN:
        reasons.append(
            f"the host took about {_rough(100 * stolen)} % of the processors (limit {100 * MOST_STOLEN:.0f} %)"
        )
    seconds = sum(reading.elapsed_ns for reading in readings) / 1e9
    # Threads that wait for each other yield their processor: the replay causes these switches, not the machine.
    taken = sum(max(0, reading.involuntary_switches - reading.own_switches) for reading in readings)
    switches = taken / seconds if seconds else 0.0
    if seconds >= _LEAST_SECONDS and switches > MOST_SWITCHES:
        reasons.append(
            f"its workers were interrupted about {_rough(switches)} times a second (limit {MOST_SWITCHES:.0f})"
        )
    spread = _spread(null_samples)
    if spread is not None and spread > MOST_SPREAD:
        reasons.append(
            f"the null strategy's time spread by {100 * spread:.0f} % over the blocks (limit {100 * MOST_SPREAD:.0f} %)"
        )
    return reasons


def _rough(figure: float) -> str:
    """Return one digit of a figure: it is not more accurate, and cells with the same noise can share the words."""
    return f"{float(f'{figure:.0e}'):.0f}"


def _spread(null_samples: Sequence[Sample]) -> float | None:
    """Return the interquartile range over the median; None where there are too few blocks."""
    times = [
        sample.payload.replay_ticks
        for sample in null_samples
        if sample.run_pass is PACE and sample.status is Status.OK and sample.payload is not None
    ]
    if len(times) < _LEAST_BLOCKS or not median(times):
        return None
    first, _, third = quantiles(times, n=4, method="inclusive")
    return float((third - first) / median(times))
