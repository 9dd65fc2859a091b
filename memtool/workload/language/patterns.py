"""Patterns of classic benchmarks that walk over slots, or hand objects from thread to thread, in a way of their own."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import Field, StrictBool, model_validator

from memtool.workload.language.laws import CountLaw, NaturalLaw, SizeLaw
from memtool.workload.language.values import Alignment, Chance, Count, Natural, Share, Size, Strict, misfit

MOST_SLOTS = 1 << 24
_MOST_SWEPT = 1 << 16
"""Objects of one sweep pattern: it resizes as many as a sixth of their square."""


class Requests(Strict):
    """What a pattern asks for."""

    size: SizeLaw
    alignment: Alignment = 16


class Toggle(Requests):
    """A slot is chosen at random, again and again: if it is empty it is filled, if it is full its object is freed.

    With `skew: 80%` four fifths of the choices fall on a fifth of the slots; of either part's choices, four fifths on a
    fifth of that part, and so on, six levels deep. At first a share of the slots is `filled`, in order.
    """

    slots: Annotated[Count, Field(le=MOST_SLOTS)]
    skew: Share | None = None
    filled: Chance = Fraction(0)

    @model_validator(mode="after")
    def _skewed(self) -> Toggle:
        if self.skew is not None and not Fraction(1, 2) <= self.skew < 1:
            raise misfit("must be at least 50% and below 100%", "skew")
        return self


class Exchange(Requests):
    """Threads that hand objects to each other through shared slots, now and then.

    After each allocation a thread chooses, with probability `freed`, one of the places it has used for its objects, and
    frees what is there, if anything is. With probability `exchanged` it exchanges what is in one of its places with
    what is in one of the `slots`; either may be empty. A share of its objects it has `retained` instead, with a size
    law of their own, `retained_size`. At its end it frees all that it has. In every round it draws the same. Between
    rounds the first thread frees what is in the slots, except for a share of `survivors`.
    """

    slots: Annotated[Count, Field(le=MOST_SLOTS)] = 1000
    freed: Chance = Fraction(66, 100)
    exchanged: Chance = Fraction(1, 4)
    retained: Chance = Fraction(0)
    retained_size: SizeLaw | None = None
    survivors: Chance = Fraction(1)
    uneven: StrictBool = False
    """The second thread does twice as much as the first, and so on up to eight times."""
    first_thread: StrictBool = False
    """The first thread, which starts the others and waits for them, is one of them."""

    @model_validator(mode="after")
    def _retains(self) -> Exchange:
        if self.retained_size is not None and not self.retained:
            raise misfit("needs retained, the share of what is kept", "retained_size")
        return self


class Buffer(Requests):
    """A buffer of `slots` is filled from its beginning; when it is full, all but a `kept` part of it is freed.

    The part is the next one each time. What lies before it is freed in order, what lies behind it from the end; the
    next filling leaves it out. A `forgetful` one overwrites the first part, which so is never freed.
    """

    slots: Annotated[Count, Field(le=MOST_SLOTS)]
    kept: Share = Fraction(1, 5)
    forgetful: StrictBool = False

    @model_validator(mode="after")
    def _keeps_less_than_all(self) -> Buffer:
        if self.kept == 1:
            raise misfit("must be below 100%", "kept")
        return self


class Refill(Requests):
    """In loops, some of the `slots` are `emptied`, then some `filled` anew, in strides.

    Every `handed_on` loops as many objects are made besides, for the next thread to free; 0: never. It does so every
    `wait` loops: so far do threads drift apart that wait for nobody.
    """

    slots: Annotated[Count, Field(le=MOST_SLOTS)]
    emptied: NaturalLaw
    filled: CountLaw
    handed_on: Natural = 0
    wait: Count = 1


class Sweep(Requests):
    """After the first `settled` objects, each allocation is followed by a sweep over a random stretch of all objects.

    An object of up to `largest` bytes is doubled, a larger one is cut to a quarter. Nothing is freed before the end.
    """

    settled: Natural = 1000
    largest: Size = 1024


def most_swept(allocations: int, sweep: Sweep | None) -> str | None:
    """Return what is wrong with so many allocations of a thread; None: nothing."""
    if sweep is None or allocations <= _MOST_SWEPT:
        return None
    return f"must be at most {_MOST_SWEPT:,} a thread: a sweep resizes a third of all objects each time"
