"""When the operations of an open-loop workload are meant to begin: the program of engine/generate/arrivals.hpp."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memtool.workload.language import tables
from memtool.workload.language.arrival_kinds import Arrivals, Bursts, FrameStarts, Paced

_PICOSECONDS = 10**12
_APART = 0xA2217A15
"""Added to the seed bit by bit, so that arrivals have draws of their own and do not change the events."""


@dataclass(frozen=True, slots=True)
class ArrivalSchedule:
    """Intended starts of a workload's operations, as a program that gives the same ones on every machine."""

    law: str
    """constant | poisson | bursts | periodic | frames"""
    rate: Fraction
    """Operations a second; of frames, frames a second."""
    burst: int
    """Operations that come at once; 0: those of a frame."""
    words: tuple[int, ...]
    frames: int = 0
    """How many there are, where a frame arrives at a time."""

    def described(self, operations: int) -> dict[str, Any]:
        """Return what run.json says of it, for a workload of so many operations."""
        mean = self.rate * operations / self.frames if self.frames else self.rate
        rate = int(mean) if mean.denominator == 1 else round(float(mean), 3)
        every = {"every_ns": float(10**9 / self.rate)} if self.frames else {}
        return {"law": self.law, "rate_per_s": rate, "burst": self.burst, **every}

    def seconds(self, operations: int) -> float:
        """Return how long it takes until so many operations have arrived, on average."""
        return float((self.frames or operations) / self.rate)

    def to_bytes(self) -> bytes:
        """Return what is hashed of it."""
        return array("Q", self.words).tobytes()


def compile_arrivals(arrivals: Arrivals, seed: int, frames: int = 0) -> ArrivalSchedule:
    """Return the schedule of a workload with this seed, and with so many frames."""
    law, paced = next(
        (name, described) for name in Arrivals.model_fields if (described := getattr(arrivals, name)) is not None
    )
    if isinstance(paced, FrameStarts):
        every = tables.constant(round(paced.every))
        return ArrivalSchedule(law, _PICOSECONDS / Fraction(paced.every), 0, (seed ^ _APART, 0, *every), frames)
    assert isinstance(paced, (Paced, Bursts))
    burst = paced.size if isinstance(paced, Bursts) else 1
    if isinstance(paced, Bursts) and paced.every is not None:
        law, gap = "periodic", Fraction(paced.every)
    else:
        assert paced.rate is not None
        gap = Fraction(_PICOSECONDS * burst, paced.rate)
    is_even = law in ("constant", "periodic")
    table = tables.constant(round(gap)) if is_even else tables.exponential(gap, 0, tables.LARGEST)
    return ArrivalSchedule(law, _PICOSECONDS * burst / gap, burst, (seed ^ _APART, burst, *table))
