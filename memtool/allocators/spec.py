"""The language of ``-a``: names, @groups, parameters, sweeps, libraries.

``glibc,pool:block=64,chunk=4KiB,tlsf:subdivisions=16|32,@system,./libmine.so``
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from memtool.errors import InputError
from memtool.model import AllocatorSpec


def parse_allocators(text: str, groups: dict[str, tuple[str, ...]]) -> tuple[AllocatorSpec, ...]:
    """Return the allocators of a list, sweeps and groups unfolded, each once, in the order given.

    Raises InputError for an empty list, an unknown group, or a parameter without a value.
    """
    specs: list[AllocatorSpec] = []
    for item in _items(text):
        specs += _group(item, groups) if item.startswith("@") else _sweep(item)
    if not specs:
        raise InputError("-a: names no allocator")
    return tuple(dict.fromkeys(specs))


def _items(text: str) -> list[str]:
    """Split at commas; ``key=value`` goes on with the parameters of the item before."""
    items: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if not part:
            continue
        if "=" in part and ":" not in part and items and not items[-1].startswith("@"):
            items[-1] += ("," if ":" in items[-1] else ":") + part
        else:
            items.append(part)
    return items


def _group(item: str, groups: dict[str, tuple[str, ...]]) -> list[AllocatorSpec]:
    name = item[1:]
    if name not in groups:
        raise InputError(f"-a: unknown group '{item}' (known: {', '.join('@' + known for known in groups)})")
    return [AllocatorSpec(member) for member in groups[name]]


def _sweep(item: str) -> list[AllocatorSpec]:
    name, _, rest = item.partition(":")
    choices: list[list[tuple[str, str]]] = []
    for pair in filter(None, rest.split(",")):
        key, equals, values = pair.partition("=")
        if not equals or not values or not key:
            raise InputError(f"-a: {item}: '{pair}' must be parameter=value")
        choices.append([(key.strip(), value.strip()) for value in values.split("|")])
    keys = [pairs[0][0] for pairs in choices]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"-a: {item}: {twice} is there twice")
    return [AllocatorSpec(name.strip(), combination) for combination in itertools.product(*choices)]


def format_parameters(pairs: Sequence[tuple[str, str]]) -> str:
    """Return parameters as the engine takes them: ``block=64,chunk=4096``."""
    return ",".join(f"{key}={value}" for key, value in pairs)
