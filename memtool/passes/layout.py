"""How the structure of a pass lies in memory: the fields of the one in its native header, in order and by name.

Nothing here knows ctypes: what summarises and stores imports the passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Number(Enum):
    """A field of eight bytes."""

    U64 = "unsigned"
    KNOWN = "unsigned; all ones stand for what is not known"
    F64 = "a double"


@dataclass(frozen=True, slots=True)
class Text:
    """Characters that end with a zero."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Array:
    """So many of a kind, side by side."""

    of: Kind
    length: int


@dataclass(frozen=True, slots=True)
class Counts:
    """So many counts of eight bytes, nearly all of them zero."""

    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A structure."""

    fields: tuple[tuple[str, Kind], ...]

    @staticmethod
    def of(**fields: Kind) -> Layout:
        """Return the structure of these fields, in this order."""
        return Layout(tuple(fields.items()))


Kind = Number | Text | Array | Counts | Layout
U64, KNOWN, F64 = Number.U64, Number.KNOWN, Number.F64
NOT_KNOWN = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Part:
    """Numbers that lie behind the structure, where their number differs; a field of its name has their offset."""

    name: str
    length: int
    """How many numbers of eight bytes."""
    content: Sequence[int] = ()
    """What the worker is given; else it is found."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a worker is asked, of which each pass takes what is its matter."""

    checkpoints: int = 0
    lanes: int = 0
    """Threads in all; 0: there is one."""
    drain_waits_ms: tuple[int, ...] = (0, 0, 0, 0)
    slow_ticks: tuple[int, ...] = (0, 0, 0)
    arrivals: tuple[int, ...] | None = None
    marks: tuple[str, ...] = ()
    counter: int = 0
    """Number of what counts instructions, in the engine's order."""
    socket: int = 0
    """Over which the means to count system calls are sent."""


@dataclass(frozen=True, slots=True)
class Given:
    """What of it lies in the buffer of a pass when the worker begins."""

    fields: Mapping[str, object] = field(default_factory=dict)
    parts: Sequence[Part] = ()


def known(figure: int) -> int | None:
    """Return a figure; None where it is not known."""
    return None if figure == NOT_KNOWN else figure
