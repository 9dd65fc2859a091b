"""Patterns of classic benchmarks that visit slots, or hand objects from thread to thread, in their own ways."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

from pydantic import Field, StrictBool, model_validator

from memtool.workload.language.laws import CountLaw, NaturalLaw, SizeLaw
from memtool.workload.language.values import Alignment, Chance, Count, Natural, Share, Size, Strict, misfit

MOST_SLOTS = 1 << 24
_MOST_SWEPT = 1 << 16
"""Objects of one sweep pattern: the number of its resizes can reach a sixth of their square."""


class Requests(Strict):
    """The requests of a pattern."""

    size: SizeLaw
    alignment: Alignment = 16


class Toggle(Requests):
    """A random slot is chosen, over and over: an empty slot is filled, and the object in a full slot is freed.

    With `skew: 80%`, four fifths of the choices fall on a fifth of the slots. Within each of the two parts the choices
    are divided in the same way, six levels deep. At the start, a share of the slots is `filled`, in order.
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
    """Threads that occasionally hand objects to each other through shared slots.

    After each allocation a thread chooses, with probability `freed`, one of the places that it has used for its
    objects, and frees the object there, if there is one. With probability `exchanged` it swaps the contents of one of
    its places and one of the `slots`; either may be empty. A share of its objects is `retained` until the thread ends;
    their sizes follow the law `retained_size`. At its end a thread frees all its objects. Every round makes the same
    draws. Between rounds the first thread frees the objects in the slots, except for a share of `survivors`.
    """

    slots: Annotated[Count, Field(le=MOST_SLOTS)] = 1000
    freed: Chance = Fraction(66, 100)
    exchanged: Chance = Fraction(1, 4)
    retained: Chance = Fraction(0)
    retained_size: SizeLaw | None = None
    survivors: Chance = Fraction(1)
    uneven: StrictBool = False
    """The second thread does twice as much as the first, and so on, up to eight times as much."""
    first_thread: StrictBool = False
    """Whether the first thread, which starts the others and waits for them, is one of them."""

    @model_validator(mode="after")
    def _retains(self) -> Exchange:
        if self.retained_size is not None and not self.retained:
            raise misfit("needs retained, the share of what is kept", "retained_size")
        return self


class Buffer(Requests):
    """A buffer of `slots` is filled from its beginning; when it is full, all of it but a `kept` part is freed.

    The kept part is the next one each time. Objects before it are freed in order, objects behind it from the end. The
    next filling skips it. A `forgetful` buffer overwrites the first part, whose objects are therefore never freed.
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
    """In each loop, some of the `slots` are `emptied`, then some are `filled` again, in strides.

    Every `handed_on` loops, as many objects are allocated in addition for the next thread to free; 0: never. That
    thread frees them every `wait` loops, which is how far threads that never wait for each other drift apart.
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
    """Return the error in this number of allocations of a thread; None: there is none."""
    if sweep is None or allocations <= _MOST_SWEPT:
        return None
    return f"must be at most {_MOST_SWEPT:,} a thread: a sweep resizes a third of all objects each time"
