"""What the reproduction of a published result comes to: lines of a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """What a line of the table says of our figure."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "NOT REPRODUCED"
    NOT_RUN = "not run here"
    NEEDS_TRACES = "needs the user's traces"
    LATER = "later"

    @classmethod
    def of(cls, reproduced: bool) -> Verdict:
        """Return the verdict on a line that ran."""
        return cls.REPRODUCED if reproduced else cls.NOT_REPRODUCED


@dataclass(frozen=True, slots=True)
class Line:
    """One published figure beside ours. Where there is none of ours, ``ours`` says why."""

    quantity: str
    published: str
    ours: str
    verdict: Verdict


Experiment = Callable[[], Iterable[Line]]


def nothing() -> Iterable[Line]:
    """Return no line: the experiment of a result that has none of that kind."""
    return ()


@dataclass(frozen=True, slots=True)
class Result:
    """A published result and the experiments that reproduce it.

    ``number`` is its row in docs/verification.md; ``source`` its authors and year, ``reference`` all that finds it.
    ``exact`` gives the same lines on every machine and does so quickly: the test suite runs it, and holds the document
    to it. ``measured`` samples for longer, or depends on the machine.
    """

    number: int
    title: str
    source: str
    reference: str
    exact: Experiment = nothing
    measured: Experiment = nothing
