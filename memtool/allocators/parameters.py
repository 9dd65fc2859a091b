"""Parameters of an allocator, and the one-line errors for a wrong name or value."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from memtool.errors import AllocatorError, did_you_mean
from memtool.model import AdaptorSpec, AllocatorSpec
from memtool.units import GIB, KIB, MIB, parse_count, parse_size, parse_time, written_time

MULTIPLE = 1 << 62
"""Marks a heap whose size is in thousandths of the largest reachable memory (kinds/graph/collectors/collectors.hpp)."""
_MULTIPLE = re.compile(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*x\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter: a size, a count, a time in milliseconds, or one of several words."""

    name: str
    summary: str
    default: str | None = None
    """Default as it would be written; None: the allocator decides."""
    minimum: int = 0
    maximum: int | None = None
    unit: str = "count"
    """bytes | count | ms | choice | time (nanoseconds) | heap (bytes, or a multiple of the largest reachable memory)"""
    choices: tuple[str, ...] = ()

    @classmethod
    def from_engine(cls, described: Mapping[str, Any]) -> Parameter:
        """Return a parameter from the engine's description of it (engine/abi/capi.cpp)."""
        choices = tuple(described["choices"])
        unit, default = str(described["unit"]), int(described["default"])
        return cls(
            name=str(described["name"]),
            summary=str(described["summary"]),
            default=choices[default] if choices else _written(default, unit),
            minimum=int(described["minimum"] or 0),
            maximum=described["maximum"],
            unit=unit,
            choices=choices,
        )

    @property
    def range(self) -> str:
        """Return the allowed values in words: ``8 to 64KiB``, ``at least 1``, ``first, next or best``."""
        if self.choices:
            return _either(self.choices)
        least = _written(self.minimum, self.unit)
        if self.unit == "heap":
            return f"at least {least}, or a multiple such as 2x"
        return f"at least {least}" if self.maximum is None else f"{least} to {_written(self.maximum, self.unit)}"

    def canonical(self, text: str) -> str:
        """Return a value in the allocator's form: decimal, or the word. Raises ValueError with one line."""
        if self.choices:
            if text not in self.choices:
                raise ValueError(f"must be {self.range}, is '{text}'")
            return text
        between = self.range if self.maximum is None else f"from {self.range}"
        try:
            value = self._number(text)
        except ValueError as problem:
            raise ValueError(f"{problem}; allowed is {between}") from None
        if value < self.minimum or (self.maximum is not None and value > self.maximum):
            raise ValueError(f"must be {between}, is {text}")
        return str(value)

    def _number(self, text: str) -> int:
        if self.unit == "heap" and (match := _MULTIPLE.fullmatch(text)):
            return MULTIPLE | round(Fraction(match[1]) * 1000)
        if self.unit == "time":
            return parse_time(text)
        if self.unit in ("bytes", "heap") and not (self.minimum < 0 and text.startswith("-")):
            return parse_size(text)
        # Negative numbers are permitted only where the allocator gives them a meaning ("never").
        sign = -1 if self.minimum < 0 and text.startswith("-") else 1
        return sign * parse_count(text.removeprefix("-") if sign < 0 else text)


def settle(spec: AllocatorSpec | AdaptorSpec, known: Sequence[Parameter], label: str | None = None) -> dict[str, str]:
    """Return the given parameters of an allocator or adaptor with their canonical values, in the given order.

    ``label`` is that of the column, where it is longer than ``spec``. Raises InputError, one line with the allowed
    values, for an unknown name or a value out of range.
    """
    label = label or spec.label
    by_name = {parameter.name: parameter for parameter in known}
    settled = {}
    for name, text in spec.parameters:
        if name not in by_name:
            raise AllocatorError(f"{label}: {_unknown(spec.name, name, known)}")
        try:
            settled[name] = by_name[name].canonical(text)
        except ValueError as problem:
            raise AllocatorError(f"{label}: {name}: {problem}") from None
    return settled


def _unknown(allocator: str, name: str, known: Sequence[Parameter]) -> str:
    if not known:
        return f"{allocator} has no parameters"
    allowed = ", ".join(f"{parameter.name} ({parameter.range})" for parameter in known)
    meant = did_you_mean(name, [parameter.name for parameter in known])
    return f"{allocator} has no parameter '{name}', only {allowed}{meant}"


def _written(value: int, unit: str) -> str:
    """Return a number in the form for the command line: 65536 bytes are ``64KiB``."""
    if unit == "heap" and value & MULTIPLE:
        return f"{(value & ~MULTIPLE) / 1000:g}x"
    if unit == "time":
        return written_time(value)
    if unit not in ("bytes", "heap") or value == 0:
        return str(value)
    for name, size in (("TiB", 1024 * GIB), ("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if value % size == 0:
            return f"{value // size}{name}"
    return str(value)


def _either(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]
