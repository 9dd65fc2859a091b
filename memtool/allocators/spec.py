"""The language of ``-a``: names, @groups, parameters, sweeps, files, adaptors.

``glibc,pool:block=64,chunk=4KiB,tlsf:subdivisions=16|32,@system,./libmine.so,pool:block=64+redzone:bytes=32+lock``;
``./libmine.so:env.MINE_CONF="a:1,b:2"`` sets an environment variable, with quotes if its value has commas.
``mine=./libmine.so`` names the column of a file that the user brings. ``pool@placement`` is the pool in one way of a
workload with several ways.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import replace

from memtool.errors import AllocatorError, did_you_mean
from memtool.model import AdaptorSpec, AllocatorSpec
from memtool.units import printable

MOST_COLUMNS = 1000
"""More than anyone can compare; a sweep over several parameters exceeds it only by mistake."""
VARIABLE = "env."
"""Prefix of parameters that are variables of the worker's environment: ``env.MALLOC_CONF=narenas:1``."""
_ASSIGNMENT = re.compile(rf"(?:{re.escape(VARIABLE)})?[A-Za-z_]\w*\s*=")
_BEFORE_PARAMETERS = re.compile(rf":(?=\s*{_ASSIGNMENT.pattern})")
"""The colon of ``pool:block=64``, but not the one of ``mine.py:Heap``."""
_BEFORE_ADAPTOR = re.compile(r"\+(?=\s*[A-Za-z][\w-]*\s*(?:[:+]|$))")
"""The plus of ``pool+lock``, but not one in the name of a file: it is followed by a word."""
# A comma or a bar within "..." is part of a value.
_UNQUOTED = r'(?=(?:[^"]*"[^"]*")*[^"]*$)'
_COMMA, _BAR = re.compile("," + _UNQUOTED), re.compile(r"\|" + _UNQUOTED)
_WAY = re.compile(r"(.+)@([a-z][a-z0-9-]*)", re.DOTALL)
"""The way at the end of ``pool+lock@placement``; in the name of a group nothing precedes the @."""
_NAMED = re.compile(r"([A-Za-z_][\w-]*)\s*=\s*(\S.*)", re.DOTALL)
_FORM = "parameter=value or parameter=value|value"


def parse_allocators(text: str, groups: Mapping[str, tuple[str, ...]]) -> tuple[AllocatorSpec, ...]:
    """Return the allocators of a list, with groups and sweeps expanded, each once, in the given order.

    Commas separate both allocators and the parameters of one: an item ``name=value`` belongs to the allocator or the
    adaptor before it. An adaptor after a group applies to each member. The registry, not the language, decides whether
    an allocator or an adaptor exists.

    Raises:
        InputError: nothing is named, a group is unknown, or a parameter has no value or no allocator.
    """
    specs: dict[AllocatorSpec, None] = {}
    for item in _items(text):
        specs.update(dict.fromkeys(_named(item, groups)))
        if len(specs) > MOST_COLUMNS:
            raise AllocatorError(f"names more than {MOST_COLUMNS} allocators")
    if not specs:
        raise AllocatorError("names no allocator")
    labels = [spec.label for spec in specs]
    odd = next((label for label in labels if printable(label) != label), None)
    if odd is not None:
        raise AllocatorError(f"'{printable(odd)}' has a control character, which no table can show")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise AllocatorError(f"'{twice}' names two allocators")
    return tuple(specs)


def is_file(name: str) -> bool:
    """Return whether a name refers to a file that the user brings."""
    return "/" in name or name.endswith(".so") or ".so." in name or is_python(name)


def is_python(name: str) -> bool:
    """Return whether a name refers to an allocator written in Python: ``mine.py`` or ``mine.py:Heap``."""
    return name.partition(":")[0].endswith(".py")


def _items(text: str) -> list[str]:
    """Split at commas, and rejoin parameters with their allocator: ``a:x=1,y=2`` is one item."""
    items: list[str] = []
    for part in (part.strip() for part in _COMMA.split(text)):
        if not part:
            continue
        if _ASSIGNMENT.match(part) is None or _name_of(part) is not None:
            items.append(part)
            continue
        if not items:
            raise AllocatorError(f"{part}: a parameter, but no allocator before it")
        owner = _BEFORE_ADAPTOR.split(items[-1])[-1]
        if owner.startswith("@"):
            raise AllocatorError(f"{items[-1]},{part}: a group takes no parameters; name the allocator that is meant")
        items[-1] += ("," if _BEFORE_PARAMETERS.search(owner) else ":") + part
    return items


def _name_of(item: str) -> tuple[str, str] | None:
    """Return (name, rest) of ``mine=./lib.so``; None: it has no name. The value of a parameter is not a file."""
    match = _NAMED.fullmatch(_way_of(item)[0])
    if match is None:
        return None
    file = _BEFORE_ADAPTOR.split(_BEFORE_PARAMETERS.split(match[2], maxsplit=1)[0], maxsplit=1)[0].strip()
    return (match[1], match[2]) if file.endswith(".so") or ".so." in file or is_python(file) else None


def _way_of(item: str) -> tuple[str, str]:
    """Return an item without its way, and the way; "" if it names none."""
    match = _WAY.fullmatch(item)
    return (match[1], match[2]) if match else (item, "")


def _named(item: str, groups: Mapping[str, tuple[str, ...]]) -> list[AllocatorSpec]:
    """Return the allocators of an item, with the name that the user gives it and the way that it states."""
    bare, way = _way_of(item)
    return [replace(spec, way=way) for spec in _titled(bare, groups)]


def _titled(item: str, groups: Mapping[str, tuple[str, ...]]) -> list[AllocatorSpec]:
    title = _name_of(item)
    if title is None:
        return _unfold(item, groups)
    name, rest = title
    specs = _unfold(rest, groups)
    if len(specs) > 1:
        raise AllocatorError(f"{item}: a name is of one allocator, and these are {len(specs)}")
    if any(name in members for members in groups.values()):
        raise AllocatorError(f"{item}: '{name}' is the name of another allocator (memtool list allocators)")
    return [replace(specs[0], title=name)]


def _unfold(item: str, groups: Mapping[str, tuple[str, ...]]) -> list[AllocatorSpec]:
    """Return every combination of the alternatives of an allocator, or of a group's members, and its adaptors."""
    base, *over = (part.strip() for part in _BEFORE_ADAPTOR.split(item))
    if not base:
        raise AllocatorError(f"{item}: no allocator before the adaptor")
    if "+" in base.partition(":")[0] and not is_file(base):
        raise AllocatorError(f"{item}: an adaptor is written +name, such as pool+lock")
    bases = _group(base, groups) if base.startswith("@") else [AllocatorSpec(*swept) for swept in _sweep(base)]
    layers = [[AdaptorSpec(*swept) for swept in _sweep(part)] for part in over]
    if len(bases) * math.prod(map(len, layers)) > MOST_COLUMNS:
        raise AllocatorError(f"{item}: the sweep has more than {MOST_COLUMNS} combinations")
    return [
        replace(base_spec, adaptors=combination) for base_spec in bases for combination in itertools.product(*layers)
    ]


def _group(item: str, groups: Mapping[str, tuple[str, ...]]) -> list[AllocatorSpec]:
    name = item[1:]
    if name not in groups:
        known = [f"@{group}" for group in groups]
        raise AllocatorError(f"unknown group '{item}'{did_you_mean(item, known)} (groups: {', '.join(known)})")
    return [AllocatorSpec(member) for member in groups[name]]


def _sweep(item: str) -> list[tuple[str, tuple[tuple[str, str], ...]]]:
    """Return (name, parameters) for every combination of alternatives, the last parameter varying fastest."""
    name, *assignments = (part.strip() for part in _BEFORE_PARAMETERS.split(item, maxsplit=1))
    if ":" in name and not is_python(name):
        raise AllocatorError(f"{item}: '{name.partition(':')[2]}' must be {_FORM}")
    choices: dict[str, list[tuple[str, str]]] = {}
    for pair in _COMMA.split(assignments[0]) if assignments else ():
        key, equals, values = (part.strip() for part in pair.partition("="))
        alternatives = [value.strip() for value in _BAR.split(values)]
        if not equals or not all(alternatives):
            raise AllocatorError(f"{item}: '{pair.strip()}' must be {_FORM}")
        if key in choices:
            raise AllocatorError(f"{item}: {key} is given twice; a sweep is written {key}=1|2")
        choices[key] = [(key, value) for value in alternatives]
    if math.prod(map(len, choices.values())) > MOST_COLUMNS:
        raise AllocatorError(f"{item}: the sweep has more than {MOST_COLUMNS} combinations")
    return [(name, combination) for combination in itertools.product(*choices.values())]
