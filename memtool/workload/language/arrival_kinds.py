"""The arrival processes of the workload language (schema.py): when operations are due."""

from __future__ import annotations

from pydantic import model_validator

from memtool.workload.language.values import Count, OneOf, Period, Rate, Strict, misfit

_LONGEST_GAP = 5
"""Mean seconds between bursts: the tail of the distribution of gaps must fit into its table."""


class Paced(Strict):
    """Operations arrive at this rate."""

    rate: Rate


class Bursts(Strict):
    """`size` operations arrive at once: at random times with a mean `rate` of operations, or `every` so often."""

    rate: Rate | None = None
    every: Period | None = None
    size: Count

    @model_validator(mode="after")
    def _often_enough(self) -> Bursts:
        if self.rate is None:
            if self.every is None:
                raise misfit("is missing, or every: how long it is from one burst to the next", "rate")
            return self
        if self.every is not None:
            raise misfit("must go: rate is there already", "every")
        most = _LONGEST_GAP * self.rate
        if self.size > most:
            raise misfit(f"must be at most {_LONGEST_GAP} seconds' worth ({most:,}), is {self.size:,}", "size")
        return self


class FrameStarts(Strict):
    """A frame begins at regular intervals, and all its operations are due at once."""

    every: Period


class Arrivals(OneOf):
    """When operations are due, independent of the allocator's speed: exactly one of these keys."""

    noun = "kind of arrivals"

    constant: Paced | None = None
    poisson: Paced | None = None
    bursts: Bursts | None = None
    frames: FrameStarts | None = None
