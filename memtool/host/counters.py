"""The counters of instructions that this machine has, with reasons for those that it lacks."""

from __future__ import annotations

import shutil
from enum import StrEnum

from memtool.engine.instruments.binding import counter_refusal
from memtool.errors import InputError, option

CALLGRIND = ("valgrind", "setarch")
"""Command before a worker that callgrind counts: setarch turns off address space randomisation."""


class Counter(StrEnum):
    """A counter of instructions."""

    NONE = "none"
    PERF = "perf"
    """The processor itself (perf_event_open)."""
    CALLGRIND = "callgrind"
    """valgrind's callgrind, which runs the worker instruction by instruction."""


def why_not(counter: Counter) -> str | None:
    """Return why this counter cannot be used here, and the remedy; None: it can."""
    if counter is Counter.PERF:
        refusal = counter_refusal(counter)
        return None if refusal is None else f"the kernel refuses a counter of instructions: {refusal}"
    if counter is Counter.CALLGRIND:
        missing = next((program for program in CALLGRIND if shutil.which(program) is None), None)
        if missing is not None:
            return f"{missing} is not installed; get it with: apt install {_PACKAGES[missing]}"
        refusal = counter_refusal(counter)
        return None if refusal is None else f"{refusal}; mend it with: apt install valgrind && make native"
    return None


_PACKAGES = {"valgrind": "valgrind", "setarch": "util-linux"}


def choose(name: str) -> tuple[Counter, str | None]:
    """Return (counter, reason why there is none) for ``auto`` or the name of a counter.

    ``auto`` is the processor where the kernel permits it, else callgrind, else none.

    Raises:
        InputError: the named counter is not available.
    """
    if name == "auto":
        reasons = []
        for counter in (Counter.PERF, Counter.CALLGRIND):
            reason = why_not(counter)
            if reason is None:
                return counter, None
            reasons.append(reason)
        return Counter.NONE, "; ".join(reasons)
    counter = Counter(name)
    if reason := why_not(counter):
        raise InputError(f"{option('counters')} {name}: {reason}")
    return counter, None
