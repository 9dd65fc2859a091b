"""The layout of a pass's structure in memory: the fields of the structure in its native header, in order and by name.

ctypes is not used here, because the code that summarises and stores imports the passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Any


class Number(Enum):
    """A field of eight bytes."""

    U64 = "unsigned"
    KNOWN = "unsigned; all ones stand for what is not known"
    F64 = "a double"


@dataclass(frozen=True, slots=True)
class Text:
    """Characters up to a zero."""

    bytes: int


@dataclass(frozen=True, slots=True)
class Array:
    """An array of a kind."""

    of: Kind
    length: int


@dataclass(frozen=True, slots=True)
class Counts:
    """An array of eight-byte counts, nearly all of them zero."""

    length: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A structure."""

    fields: tuple[tuple[str, Kind], ...]

    @staticmethod
    def of(**fields: Kind) -> Layout:
        """Return the structure with these fields, in this order."""
        return Layout(tuple(fields.items()))

    @staticmethod
    def like(record: type[Any], **others: Kind) -> Layout:
        """Return the structure with the numbers of a record and ``others`` among its fields, in the record's order."""
        kinds = {**numbers(record), **others}
        return Layout(tuple((member.name, kinds[member.name]) for member in fields(record)))


Kind = Number | Text | Array | Counts | Layout
U64, KNOWN, F64 = Number.U64, Number.KNOWN, Number.F64
NOT_KNOWN = 2**64 - 1
_NUMBERS = {"int": U64, "int | None": KNOWN, "float": F64}


def numbers(record: type[Any]) -> dict[str, Kind]:
    """Return the numbers among a record's fields, in their order; of a number that may be None, all ones stand for it.

    The record's module must have its annotations as text.
    """
    return {member.name: _NUMBERS[member.type] for member in fields(record) if member.type in _NUMBERS}


@dataclass(frozen=True, slots=True)
class Part:
    """An array of numbers after the structure, of variable length; a field of the same name has its offset."""

    name: str
    length: int
    """Number of eight-byte numbers."""
    content: Sequence[int] = ()
    """Initial content for the worker; if empty, the worker fills it in."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The request to a worker, of which each pass uses the parts that it needs."""

    checkpoints: int = 0
    lanes: int = 0
    """Total number of threads; 0: a single one."""
    drain_waits_ms: tuple[int, ...] = (0, 0, 0, 0)
    slow_ticks: tuple[int, ...] = (0, 0, 0)
    arrivals: tuple[int, ...] | None = None
    marks: tuple[str, ...] = ()
    counter: int = 0
    """Number of the counter of instructions, in the engine's order."""
    socket: int = 0
    """Socket for the descriptor with which system calls are counted."""


@dataclass(frozen=True, slots=True)
class Given:
    """The initial content of a pass's buffer."""

    fields: Mapping[str, object] = field(default_factory=dict)
    parts: Sequence[Part] = ()


def known(figure: int) -> int | None:
    """Return a figure; None where it is unknown."""
    return None if figure == NOT_KNOWN else figure
