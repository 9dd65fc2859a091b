"""Parses and formats sizes, counts and other figures for people."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_SIZE_UNITS = {"": 1, "b": 1, "kib": KIB, "mib": MIB, "gib": GIB, "tib": 1024 * GIB}
_COUNT_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9}
_TIME_UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "ms": 10**6, "s": 10**9}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", re.ASCII)
_COUNT = re.compile(r"\s*(\d+(?:\.\d+)?(?:[eE]\+?\d{1,2})?)\s*([A-Za-z]*)\s*", re.ASCII)

_TIME = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-zµ]+)\s*")

SIZE_PATTERN = r"^\s*\d+(\.\d+)?\s*([bB]|[kKmMgGtT]i[bB])?\s*$"
COUNT_PATTERN = r"^\s*\d+(\.\d+)?([eE]\+?\d{1,2})?\s*[kKmMgGbB]?\s*$"


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Characters that end a line, move a terminal's cursor or change the direction of writing."""


def printable(text: str) -> str:
    """Return untrusted text as one harmless line: control characters become escapes."""
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def _scaled(text: str, number: re.Pattern[str], units: dict[str, int], noun: str, example: str) -> int:
    match = number.fullmatch(text)
    if match is None or match[2].lower() not in units:
        raise ValueError(f"must be a {noun} such as {example}, is '{text}'")
    value = Fraction(match[1]) * units[match[2].lower()]
    if value.denominator != 1:
        raise ValueError(f"must be a whole number, is '{text}'")
    return int(value)


def parse_size(text: str | int) -> int:
    """Return the bytes that ``64``, ``"4KiB"`` or ``"1.5MiB"`` means. Raises ValueError with one line."""
    return text if isinstance(text, int) else _scaled(text, _SIZE, _SIZE_UNITS, "size", "64, 4KiB or 1.5MiB")


def parse_count(text: str | int) -> int:
    """Return the number that ``1000``, ``"200k"``, ``"2M"`` or ``"1e6"`` means. Raises ValueError with one line."""
    return text if isinstance(text, int) else _scaled(text, _COUNT, _COUNT_UNITS, "count", "1000, 200k or 2M")


def parse_time(text: str) -> int:
    """Return the nanoseconds that ``"200us"``, ``"1ms"`` or ``0`` means. Raises ValueError with one line."""
    return 0 if text.strip() == "0" else _scaled(text, _TIME, _TIME_UNITS, "time", "200us, 1ms or 1.5s")


def written_time(nanoseconds: int) -> str:
    """Return nanoseconds in the form for the command line: ``1ms``."""
    scales = [(scale, unit) for unit, scale in reversed(_TIME_UNITS.items()) if unit != "µs"]
    scale, unit = next(((scale, unit) for scale, unit in scales if nanoseconds % scale == 0), (1, "ns"))
    return f"{nanoseconds // scale}{unit}" if nanoseconds else "0"


def format_size(count: float) -> str:
    """Return bytes for people: ``"512 B"``, ``"1.50 KiB"``, ``"64.0 MiB"``; three significant digits."""
    if abs(count) < KIB:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= KIB
        if abs(count) < 999.5:
            return f"{_three_digits(count)} {unit}"
    return f"{_three_digits(count / KIB)} TiB"


def format_mean_size(mean: float) -> str:
    """Return mean bytes for people, like ``format_size``, but small values with one decimal: ``"0.5 B"``."""
    return f"{f'{mean:.1f}'.removesuffix('.0')} B" if mean < 9.95 else format_size(mean)


def unit_for(largest: float) -> tuple[int, str]:
    """Return (bytes, name) of the unit for a table or an axis whose largest figure is this: KiB below one MiB."""
    return (MIB, "MiB") if largest >= MIB else (KIB, "KiB")


def format_count(count: int) -> str:
    """Return a count for people, with separators: ``"400,000"``."""
    return f"{count:,}"


def plural(count: int, noun: str) -> str:
    """Return a number of a noun: ``"1 object"``, ``"1,600 objects"``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def format_rate(rate: int) -> str:
    """Return a rate in the form of workload files: ``"500k/s"``, ``"2M/s"``."""
    for unit, scale in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if rate >= scale and rate % (scale // 1000) == 0:
            return f"{f'{rate / scale:.3f}'.rstrip('0').rstrip('.')}{unit}/s"
    return f"{rate}/s"


def format_ns(value: float) -> str:
    """Return a duration in nanoseconds for people: ``"9.12 ns"``, ``"1.20 µs"``, ``"3.4 s"``."""
    for unit in ("ns", "µs", "ms"):
        if abs(value) < 999.5:
            return f"{_three_digits(value)} {unit}"
        value /= 1000
    return f"{_three_digits(value)} s"


def arrivals_in_words(arrivals: Mapping[str, Any]) -> str:
    """Return a description of a workload's arrivals: ``"poisson, 2,000,000 operations/s"``."""
    if arrivals["law"] == "frames":
        return f"a frame every {format_ns(arrivals['every_ns'])}"
    at_once = f" in bursts of {arrivals['burst']:,}" if arrivals["burst"] > 1 else ""
    if arrivals["law"] == "periodic":
        every = format_ns(1e9 * arrivals["burst"] / arrivals["rate_per_s"])
        return f"{arrivals['burst']:,} operations at once every {every}"
    law = "" if arrivals["law"] == "bursts" else f"{arrivals['law']}, "
    return f"{law}{arrivals['rate_per_s']:,} operations/s{at_once}"


def format_duration(seconds: float) -> str:
    """Return a time for people: ``0.12 s``, ``39.5 s``, ``12 min``, ``10 h 59 min``, ``27 d 11 h``."""
    if seconds < 99.95:
        return f"{_three_digits(seconds)} s"
    minutes = round(seconds / 60)
    if minutes >= 24 * 60:
        days, hours = divmod(round(seconds / 3600), 24)
        return f"{days:,} d {hours} h"
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min"


def _three_digits(value: float) -> str:
    magnitude = abs(value)
    return f"{value:.2f}" if magnitude < 9.995 else f"{value:.1f}" if magnitude < 99.95 else f"{value:.0f}"
