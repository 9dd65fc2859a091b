"""The types of objects: those that are compiled in (types.hpp), and one that the user brings."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path

from memtool.allocators.own.trial import try_apart

_PROBE_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Type:
    """The properties of a type that the ways need."""

    name: str
    size: int
    alignment: int
    """Bytes."""
    is_trivial: bool
    """Whether its destructor may be omitted without loss."""
    summary: str
    brought_by: Path | None = None
    """Path of the library with the user's type."""


TYPES = {
    type_.name: type_
    for type_ in (
        Type("trivial-16", 16, 8, True, "two words of zeroes"),
        Type("trivial-64", 64, 8, True, "eight words of zeroes"),
        Type("particle", 48, 8, True, "two vectors of three doubles, set by a constructor"),
        Type("text", 32, 8, False, "owns a string of 40 characters, which the global operator new has"),
        Type("shape", 24, 8, False, "polymorphic, with a virtual destructor"),
        Type("aligned-64", 64, 64, True, "eight words of zeroes, aligned to a cache line"),
        Type("aligned-4096", 4096, 4096, True, "a page of zeroes, aligned to a page"),
        Type("page", 4096, 8, True, "a page of zeroes"),
    )
}
"""In the order of types.hpp, which numbers them."""


class NoType(Exception):
    """A library does not bring a type; the message says why."""


@cache
def own_type(library: Path) -> Type:
    """Return the type that a library brings, which a separate process determines. Raises NoType."""
    if not library.is_file():
        raise NoType("no such file")
    script = str(files("memtool.kinds.construct").joinpath("type_probe.py"))
    environment = {"PATH": os.defpath, "LC_ALL": "C"}
    try:
        command = [sys.executable, "-I", "-S", script, str(library)]
        ended = try_apart(command, environment=environment, seconds=_PROBE_SECONDS)
    except TimeoutError:
        raise NoType(f"a process that loads it does not answer within {_PROBE_SECONDS} s") from None
    if ended.status != 0 or not ended.answer:
        raise NoType(f"a process that loads it {ended.ending}")
    name, size, alignment, is_trivial, wrong = json.loads(ended.answer)
    if wrong:
        raise NoType(wrong)
    return Type(name, size, alignment, is_trivial, "brought by a library", library)
