"""When the operations of an open-loop workload are due, as a program for engine/generate/arrivals.hpp."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memtool.workload.language import tables
from memtool.workload.language.arrival_kinds import Arrivals, Bursts, FrameStarts, Paced

_PICOSECONDS = 10**12
_APART = 0xA2217A15
"""XORed with the seed, so that arrivals have their own random numbers and do not change the events."""


@dataclass(frozen=True, slots=True)
class ArrivalSchedule:
    """The intended start times of a workload's operations, as a program that yields the same times on every machine."""

    law: str
    """constant | poisson | bursts | periodic | frames"""
    rate: Fraction
    """Operations a second; with frames, frames a second."""
    burst: int
    """Number of operations that arrive at once; 0: all those of a frame."""
    words: tuple[int, ...]
    frames: int = 0
    """Number of frames, where whole frames arrive."""

    def described(self, operations: int) -> dict[str, Any]:
        """Return the arrivals as run.json stores them, for a workload with this many operations."""
        mean = self.rate * operations / self.frames if self.frames else self.rate
        rate = int(mean) if mean.denominator == 1 else round(float(mean), 3)
        every = {"every_ns": float(10**9 / self.rate)} if self.frames else {}
        return {"law": self.law, "rate_per_s": rate, "burst": self.burst, **every}

    def seconds(self, operations: int) -> float:
        """Return the mean time in seconds until this many operations have arrived."""
        return float((self.frames or operations) / self.rate)

    def to_bytes(self) -> bytes:
        """Return the words that enter the hash of the events."""
        return array("Q", self.words).tobytes()


def compile_arrivals(arrivals: Arrivals, seed: int, frames: int = 0) -> ArrivalSchedule:
    """Return the schedule of a workload with this seed and this number of frames."""
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
