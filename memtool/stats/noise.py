"""Whether the machine was too noisy while a cell was timed. docs/measurement.md has the rule, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles

from memtool.model import Status
from memtool.passes import PACE, Phase, Sample

MOST_STOLEN = 0.01
"""Of the processors' time, taken by the host."""
MOST_SWITCHES = 25.0
"""Times a second that the worker was taken off its processor for another."""
MOST_SPREAD = 0.10
"""Distance of the quartiles of the null strategy's time over the blocks, as a share of its median."""
_LEAST_BLOCKS = 6
_LEAST_SECONDS = 0.1
_LEAST_TICKS = 100
"""Of the processors together: of fewer, one that was taken is a hundredth."""


def why_noisy(samples: Sequence[Sample], null_samples: Sequence[Sample]) -> list[str]:
    """Return what disturbed the timed samples of a cell, in words; nothing for a quiet machine.

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
    # Threads that wait for each other offer their processor: those switches are the replay's, not the machine's.
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
    """Return one digit of a figure: it is not worth more, and cells that share a noise share its words."""
    return f"{float(f'{figure:.0e}'):.0f}"


def _spread(null_samples: Sequence[Sample]) -> float | None:
    """Return the distance of the quartiles over the median; None where there are too few blocks."""
    times = [
        sample.payload.replay_ticks
        for sample in null_samples
        if sample.run_pass is PACE and sample.status is Status.OK and sample.payload is not None
    ]
    if len(times) < _LEAST_BLOCKS or not median(times):
        return None
    first, _, third = quantiles(times, n=4, method="inclusive")
    return float((third - first) / median(times))
